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
from collections.abc import Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from pathlib import Path

from pyslang import Bag
from pyslang.ast import Compilation, CompilationFlags, CompilationOptions
from pyslang.syntax import SyntaxTree

from hw.errors import ToolFailure
from tests.hw.deploy import cores
from tests.hw.deploy.cores import Core
from tests.hw.deploy.recorded import Kind, RecordedDesign, replay

RECORDER = Path(__file__).with_name("recorder.tcl")
_CLOCKS_AND_RESETS = ("ap_clk", "ap_clk2x", "ap_rst_n")
_VALID = re.compile(r"(\w+)_(?:tvalid|awvalid|arvalid)")
"""A port that shows that its module has an interface."""
_OPEN = re.compile(r"\w+_memstream_wrapper/s_axis_0|Thresholding_rtl_\w+/in1_v")
"""Streams, module/name, that FINN leaves open on purpose: they choose a set of weights, and there is one."""


class ScriptError(ToolFailure):
    """A script that does not run, or that makes a design with a fault; the message names it."""


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


def check(commands: Iterable[Sequence[str]], folder: Path, known: Mapping[str, Core] | None = None) -> RecordedDesign:
    """Check a recorded script.

    Args:
        commands: what `run` returned.
        folder: where relative names of files begin.
        known: cores, by vlnv, besides those that Vivado brings.

    Raises:
        ScriptError: the first fault.
    """
    design = replay(commands, folder)
    missing = [path for path in (*design.files, *sorted(design.repositories)) if not path.exists()]
    if missing:
        raise ScriptError(f"{missing[0]} does not exist")
    if design.cells:
        found = _cores(design, known or {})
        _check_ends(design, found)
        _check_needs(design, found)
    return design


def _cores(design: RecordedDesign, known: Mapping[str, Core]) -> dict[str, Core]:
    """What each cell is connected by."""
    modules = _modules(design, sorted({name for name in design.cells.values() if ":" not in name}))
    found = {cell: Core(pins, frozenset(pins)) for cell, pins in design.hierarchies.items()}
    for cell, name in design.cells.items():
        core = modules.get(name) or known.get(name) or cores.of_vivado(name, design.sizes.get(cell, {}))
        if core is None:
            raise ScriptError(f"{cell} is a {name}, which nothing makes")
        if core.repository is not None and core.repository not in design.repositories:
            raise ScriptError(f"{cell} is a {name}, but the script does not have Vivado look into {core.repository}")
        found[cell] = core
    return found


def _modules(design: RecordedDesign, names: Sequence[str]) -> dict[str, Core]:
    """The modules that cells are made of, as the script's files define them."""
    options = CompilationOptions()
    options.topModules = {"every_module"}
    options.flags = CompilationFlags.AllowUseBeforeDeclare
    compilation = Compilation(Bag([options]))
    for path in dict.fromkeys(path.resolve() for path in design.files):
        if path.suffix in (".v", ".sv"):
            compilation.addSyntaxTree(SyntaxTree.fromFile(str(path)))
    text = "\n".join(f"  {name} m{index} ();" for index, name in enumerate(names))
    compilation.addSyntaxTree(SyntaxTree.fromText(f"module every_module;\n{text}\nendmodule\n"))
    body = compilation.getRoot().topInstances[0].body
    found = {}
    for index, name in enumerate(names):
        instance = body.find(f"m{index}")
        if not hasattr(instance, "body"):
            raise ScriptError(f"no file of the script defines the module {name}")
        found[name] = _module(name, {port.name.lower() for port in instance.body.portList})
    return found


def _module(name: str, ports: set[str]) -> Core:
    interfaces = {match[1] for port in ports if (match := _VALID.fullmatch(port))}
    streams = {
        stream for stream in interfaces if f"{stream}_tready" in ports and not _OPEN.fullmatch(f"{name}/{stream}")
    }
    return Core(cores.named(interfaces, ports), frozenset(streams | ports & {*_CLOCKS_AND_RESETS}))


def _check_ends(design: RecordedDesign, found: Mapping[str, Core]) -> None:
    """Whatever is connected is there."""
    kinds: tuple[Kind, ...] = ("pin", "interface")
    for kind in kinds:
        for end in sorted({end for pair in design.pairs(kind) for end in pair}):
            cell, _, name = end.rpartition("/")
            if not cell:
                if design.ports.get(end) != kind:
                    raise ScriptError(f"{end} is connected, but the design has no such port")
            elif cell not in found:
                raise ScriptError(f"{end} is connected, but there is no cell {cell}")
            elif not any(_same(name, known) for known, of in found[cell].names.items() if of == kind):
                raise ScriptError(f"{end} is connected, but {design.cells.get(cell, cell)} has no {kind} {name}")


def _check_needs(design: RecordedDesign, found: Mapping[str, Core]) -> None:
    """Clocks, resets and streams of every cell are connected; those of a hierarchy on both of its sides."""
    outside, inside = set[str](), set[str]()
    for one, other in (*design.wires, *design.streams):
        for end, partner in ((one, other), (other, one)):
            within = partner.startswith(f"{end.rpartition('/')[0]}/") and partner.count("/") > end.count("/")
            (inside if within else outside).add(end.lower())
    for cell, core in found.items():
        for name in sorted(core.needed):
            pin = f"{cell}/{name}".lower()
            if not _reached(pin, outside):
                raise ScriptError(f"{cell}/{name} is not connected")
            if cell in design.hierarchies and not _reached(pin, inside):
                raise ScriptError(f"{cell}/{name} is not connected inside")


def _reached(pin: str, ends: Set[str]) -> bool:
    return pin in ends or any(_same(end, pin) for end in ends)


def _same(written: str, name: str) -> bool:
    """Whether a name in a script, where a star may stand, means this one; Verilog's capitals are its own affair."""
    return fnmatchcase(name.lower(), written.lower())
