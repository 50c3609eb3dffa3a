# SPDX-License-Identifier: Apache-2.0
"""What a PC can check of FINN's way to a bitfile: every script that it left in its folder, and how they fit together.

The scripts of Vitis HLS make cores, those of kernels use them and make kernels; the shell's project (Zynq) or v++'s
link configuration (Alveo) connects the kernels. Each is checked against what the ones before it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.hw.deploy import cores, tclcheck
from tests.hw.deploy.cores import Core
from tests.hw.deploy.recorded import RecordedDesign
from tests.hw.deploy.tclcheck import ScriptError

_CONTROL = "s_axi_control"
"""The port of a kernel that v++ connects unasked."""
_SOFTWARE = "finn_design.tcl"
"""Lies in every kernel for Vitis' software side; no tool of this flow reads it."""


@dataclass
class Flow:
    """What was checked.

    Attributes:
        scripts: how many were run.
        cells: of all their block designs.
        instances: names of the kernels in the bitfile, the DMAs' among them, under which the driver finds them.
        cores: that they make, by vlnv.
        objects: vlnv of the kernel in each file for v++.
    """

    scripts: int = 0
    cells: int = 0
    instances: set[str] = field(default_factory=set)
    cores: dict[str, Core] = field(default_factory=dict)
    objects: dict[Path, str] = field(default_factory=dict)


def check(folder: Path) -> Flow:
    """Run and check all scripts below FINN's build folder.

    Raises:
        ScriptError: the first fault.
    """
    flow = Flow()
    known: set[Path] = set(folder.rglob(_SOFTWARE))
    for pattern, check_script in _CHECKS.items():
        found = sorted(folder.rglob(pattern))
        known |= set(found)
        for script in found:
            commands = tclcheck.run(script, script.parent)
            check_script(commands, script.parent, flow)
            flow.scripts += 1
    for path in folder.rglob("config.txt"):
        _link(path, flow)
    unknown = sorted(set(folder.rglob("*.tcl")) - known)
    if unknown:
        raise ScriptError(f"{unknown[0]} was not checked: it is no script that FINN is known to write")
    return flow


Commands = Sequence[Sequence[str]]


def _hls(commands: Commands, folder: Path, flow: Flow) -> None:
    """A core of Vitis HLS: its source is there and has the function that becomes its top."""
    (source,) = tclcheck.check(commands, folder).files
    names = {verb: words[0] for verb, *words in commands if words}
    if f" {names['set_top']}(" not in source.read_text():
        raise ScriptError(f"{source} does not have the function {names['set_top']}")
    repository = folder / names["open_project"] / names["open_solution"] / "impl" / "ip"
    flow.cores[f"xilinx.com:hls:{names['set_top']}:1.0"] = cores.of_hls(source.read_text(), repository)


def _design(commands: Commands, folder: Path, flow: Flow) -> RecordedDesign:
    """A block design of cells and of cores that were made before."""
    design = tclcheck.check(commands, folder, flow.cores)
    flow.cells += len(design.cells)
    return design


def _shell(commands: Commands, folder: Path, flow: Flow) -> None:
    """The project of FINN's Zynq shell: kernels between the processor's ports."""
    design = _design(commands, folder, flow)
    flow.instances |= {cell for cell, name in design.cells.items() if name in flow.cores}


def _kernel(commands: Commands, folder: Path, flow: Flow) -> None:
    """A block design of nodes, packaged as a core."""
    design = _design(commands, folder, flow)
    (words,) = (words for verb, *words in commands if verb == "ipx::package_project")
    option = dict(pairwise(words))
    vlnv = f"{option['-vendor']}:{option['-library']}:{option['-module']}:1.0"
    flow.cores[vlnv] = cores.of_kernel(design, Path(option["-root_dir"]))


def _object(commands: Commands, folder: Path, flow: Flow) -> None:
    """A kernel's object for v++: of a packaged core, and each of its arguments at a port of that core."""
    ((_, *words),) = commands
    option = dict(pairwise(words))
    made = {core.repository: vlnv for vlnv, core in flow.cores.items()}
    vlnv = made.get(Path(option["-ip_directory"]))
    if vlnv is None or vlnv.split(":")[2] != option["-kernel_name"]:
        raise ScriptError(f"{option['-ip_directory']} does not hold the kernel {option['-kernel_name']}")
    for before, argument in pairwise(words):
        if before == "-kernel_xml_args" and not flow.cores[vlnv].has_interface(port := argument.split(":")[3]):
            raise ScriptError(f"an argument of {option['-kernel_name']} is at {port}, which is no port of it")
    flow.objects[Path(option["-xo_path"])] = vlnv


_CHECKS = {
    "hls_syn_*.tcl": _hls,
    "make_project.tcl": _kernel,
    "gen_xo.tcl": _object,
    "ip_config.tcl": _shell,
    "vitis_gen_report_xml.tcl": _design,
}
"""FINN's scripts in the order in which they are run."""


def _link(path: Path, flow: Flow) -> None:
    """v++'s link: streams from port to port, and a memory for each memory port."""
    lines = [line.partition("=")[::2] for line in path.read_text().splitlines()]
    units = _units(path.with_name("run_link.sh"), [value for key, value in lines if key == "nk"], flow)
    connected: list[str] = []
    for key, value in lines:
        if key in ("sc", "sp"):
            connected += value.split(":")[: 2 if key == "sc" else 1]
    for end in connected:
        unit, _, port = end.partition(".")
        if unit not in units or not units[unit].has_interface(port):
            raise ScriptError(f"{end} is connected, but no kernel has it")
    flow.instances |= set(units)
    for unit, core in units.items():
        for port in core.needed:
            times = connected.count(f"{unit}.{port}")
            if core.has_interface(port) and not port.startswith(_CONTROL) and times != 1:
                raise ScriptError(f"{unit}.{port} is connected {times} times")


def _units(script: Path, instances: Sequence[str], flow: Flow) -> Mapping[str, Core]:
    """Kernels by the name of their instance, KERNEL:1:NAME; all of them come from objects that are there."""
    words = script.read_text().split()
    objects = [Path(word) for word in words if word.endswith(".xo")]
    for file in (*objects, Path(dict(pairwise(words))["--config"])):
        if not file.is_file():
            raise ScriptError(f"{file} does not exist")
    kernels = {vlnv.split(":")[2]: flow.cores[vlnv] for vlnv in map(flow.objects.__getitem__, objects)}
    units = {}
    for kernel, _, unit in (instance.split(":") for instance in instances):
        if kernel not in kernels:
            raise ScriptError(f"{unit} is a {kernel}, which is in no object of the link")
        units[unit] = kernels[kernel]
    return units
