# SPDX-License-Identifier: Apache-2.0
"""What a PC can check of a script for Vivado: it runs in tclsh, and the block design that it makes is complete.

recorder.tcl takes the place of Vivado. Checked are files that do not exist, pins that are no ports of their modules,
clocks and resets that are not connected, and streams with an open end. Vivado's own opinion is another matter.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyslang import Bag, SourceManager
from pyslang.ast import Compilation, CompilationFlags, CompilationOptions
from pyslang.syntax import SyntaxTree

from hw.errors import ToolFailure

RECORDER = Path(__file__).with_name("recorder.tcl")
_FILE_COMMANDS = ("add_files", "read_verilog", "read_xdc")
_CLOCKS_AND_RESETS = ("ap_clk", "ap_rst_n")
_READY = "_tready"
_OPEN = re.compile(r"\w+_memstream_wrapper/s_axis_0|Thresholding_rtl_\w+/in1_v")
"""Streams, module/name, that FINN leaves open on purpose: they choose a set of weights, and there is one."""


class ScriptError(ToolFailure):
    """A script that does not run, or that makes a design with a fault; the message names it."""


@dataclass
class Recorded:
    """The block design that a script made: cells and their modules, hierarchies, connections.

    `foreign` are cells that Vivado brings or Vitis HLS makes: their pins are not known here.
    """

    files: list[Path] = field(default_factory=list)
    cells: dict[str, str] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    hierarchies: set[str] = field(default_factory=set)
    wires: list[tuple[str, str]] = field(default_factory=list)
    streams: list[tuple[str, str]] = field(default_factory=list)


def run(script: Path, folder: Path) -> list[list[str]]:
    """The Vivado commands of a script that is run in `folder`: a list of words each.

    Raises:
        ScriptError: no tclsh, or the script is wrong.
    """
    tclsh = shutil.which("tclsh")
    if tclsh is None:
        raise ScriptError("tclsh is not installed; install it with: sudo apt-get install tcl")
    with tempfile.TemporaryDirectory() as scratch:
        records = Path(scratch) / "records"
        command = [tclsh, str(RECORDER), str(script.resolve()), str(records)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ScriptError(f"tclsh: {done.stderr.splitlines()[0] if done.stderr else done.returncode}")
        return [line.split("\t") for line in records.read_text().splitlines()]


def check(commands: Iterable[Sequence[str]], folder: Path, include_dirs: Sequence[Path] = ()) -> Recorded:
    """Check a recorded script.

    Args:
        commands: what `run` returned.
        folder: where relative names of files begin.
        include_dirs: folders of included files.

    Raises:
        ScriptError: the first fault.
    """
    design = _replay(commands, folder)
    missing = [path for path in design.files if not path.is_file()]
    if missing:
        raise ScriptError(f"{missing[0]} does not exist")
    if design.cells:
        _check_pins(design, _ports(design, include_dirs))
    return design


def _replay(commands: Iterable[Sequence[str]], folder: Path) -> Recorded:
    design = Recorded()
    for verb, *words in commands:
        if verb in _FILE_COMMANDS:
            plain = [word for before, word in zip(["", *words], words, strict=False) if before != "-mode"]
            names = [name for word in plain if not word.startswith("-") for name in word.split()]
            design.files += [folder / name for name in names]
        elif verb == "create_bd_cell":
            name = words[-1].strip("/")
            if "-reference" in words:
                design.cells[name] = words[words.index("-reference") + 1]
            elif words[:2] == ["-type", "hier"]:
                design.hierarchies.add(name)
            else:
                design.foreign.add(name)
        elif verb in ("connect_bd_net", "connect_bd_intf_net"):
            ends = [word.strip("/") for word in words]
            (design.wires if verb == "connect_bd_net" else design.streams).append((ends[0], ends[1]))
        elif verb in ("make_bd_pins_external", "make_bd_intf_pins_external"):
            pin = words[0].strip("/")
            (design.wires if verb == "make_bd_pins_external" else design.streams).append((pin, f"outside {pin}"))
    return design


def _ports(design: Recorded, include_dirs: Sequence[Path]) -> dict[str, set[str]]:
    """Lower-case ports of each module."""
    modules = sorted(set(design.cells.values()))
    manager = SourceManager()
    for folder in include_dirs:
        manager.addUserDirectories(str(folder))
    options = CompilationOptions()
    options.topModules = {"every_module"}
    options.flags = CompilationFlags.AllowUseBeforeDeclare
    compilation = Compilation(Bag([options]))
    for path in dict.fromkeys(path.resolve() for path in design.files):
        if path.suffix in (".v", ".sv"):
            compilation.addSyntaxTree(SyntaxTree.fromFile(str(path), manager))
    text = "\n".join(f"  {module} m{index} ();" for index, module in enumerate(modules))
    compilation.addSyntaxTree(SyntaxTree.fromText(f"module every_module;\n{text}\nendmodule\n", manager))
    body = compilation.getRoot().topInstances[0].body
    found = {}
    for index, module in enumerate(modules):
        instance = body.find(f"m{index}")
        if not hasattr(instance, "body"):
            raise ScriptError(f"no file of the script defines the module {module}")
        found[module] = {port.name.lower() for port in instance.body.portList}
    return found


def _check_pins(design: Recorded, ports: Mapping[str, set[str]]) -> None:
    """Pins exist; clocks, resets and streams of every cell are connected."""
    wired = {end for pair in design.wires for end in pair}
    streamed = {end for pair in design.streams for end in pair}
    for pin in sorted(wired | streamed):
        cell, _, name = pin.rpartition("/")
        if not cell or cell.startswith("outside") or cell in design.hierarchies | design.foreign:
            continue
        if cell not in design.cells:
            raise ScriptError(f"{pin} is connected, but there is no cell {cell}")
        known = ports[design.cells[cell]]
        wanted = [name.lower()] if pin in wired else [f"{name.lower()}_{signal}" for signal in ("tdata", "tvalid")]
        absent = [port for port in wanted if port not in known]
        if absent:
            raise ScriptError(f"{pin} is connected, but {design.cells[cell]} has no port {absent[0]}")
    for cell, module in design.cells.items():
        for port in sorted(ports[module]):
            if port in _CLOCKS_AND_RESETS and not _reaches(f"{cell}/{port}", wired):
                raise ScriptError(f"{cell}/{port} is not connected")
            stream = port.removesuffix(_READY)
            if (
                port.endswith(_READY)
                and not _OPEN.fullmatch(f"{module}/{stream}")
                and not _reaches(f"{cell}/{stream}", {end.lower() for end in streamed})
            ):
                raise ScriptError(f"the stream {cell}/{stream} has an open end")


def _reaches(pin: str, ends: set[str]) -> bool:
    return pin in ends or pin.lower() in {end.lower() for end in ends}
