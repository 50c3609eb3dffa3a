# SPDX-License-Identifier: Apache-2.0
"""Verilator behind finn.xsi: after install(), FINN's own rtlsim runs without Vivado.

FINN reaches its simulator through a handful of names of the module finn.xsi, bound when they are first
used. install() binds them to the functions below, and puts those of finn_packing.py in the places of FINN's slow
ones. So ``execute_onnx`` simulates nodes that have been through PrepareRTLSim, and a whole partition after
``describe_to_finn``.

What FINN does with streams runs in C++, and counts its cycles as FINN does. What hooks enlist (AXI lite, memories
over AXI) takes part cycle by cycle: FINN's own engine runs it, on the few classes of the module xsi that it needs.

Worker processes: those started by fork inherit the bindings; those started by forkserver or spawn begin
with a fresh interpreter and have to call install() themselves, e.g.
`multiprocessing.Pool(initializer=install)`. PrepareRTLSim below does it for FINN's transformation of that
name, whatever the start method.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import finn.xsi
import numpy as np
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim as _FinnPrepareRTLSim
from qonnx.core.modelwrapper import ModelWrapper

from hw.design.design import Design
from hw.design.finnlib import SIMULATION, patched
from hw.design.modules import ROM, SOURCE_SUFFIXES
from hw.rtlsim.compile import CompileError, build
from hw.rtlsim.finn_packing import FINN_ORIGINALS, REPLACEMENTS, from_ints, to_ints
from hw.streams.sim import Beats, RunResult, Simulation

IoDict = dict[str, dict[str, list[int]]]


class UnsupportedError(RuntimeError):
    """Something of FINN's simulation interface that only Vivado's simulator offers.

    Not a NotImplementedError: FINN passes over that one in silence.
    """


class FinnPort:
    """A port as FINN's engine takes it: read is what there is now, set is driven at once."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation = simulation
        self._name = name

    def name(self) -> str:
        """Its name."""
        return self._name

    def width(self) -> int:
        """Bits."""
        return self._simulation.signals[self._name].width

    def isInput(self) -> bool:  # noqa: N802 - FINN's name
        """Whether it is driven from outside."""
        return self._simulation.signals[self._name].is_input

    def read(self) -> FinnPort:
        """Itself."""
        return self

    def write_back(self) -> None:
        """Nothing that set() has not done."""

    def as_bool(self) -> bool:
        """Whether any bit is set."""
        return self.as_unsigned() != 0

    def as_unsigned(self) -> int:
        """The value."""
        return self._simulation.peek(self._name)

    def as_hexstr(self) -> str:
        """The value, with all digits."""
        return f"{self.as_unsigned():0{(self.width() + 3) // 4}x}"

    as_hexstr_2state = as_hexstr  # nothing is unknown here

    def clear(self) -> FinnPort:
        """Drive zeros."""
        return self.set(0)

    def set(self, value: int) -> FinnPort:
        """Drive the low bits of `value`."""
        self._simulation.poke(self._name, value & (1 << self.width()) - 1)
        return self

    def set_binstr(self, value: str) -> FinnPort:
        """Drive a binary number."""
        return self.set(int(value, 2))

    def set_hexstr(self, value: str) -> FinnPort:
        """Drive a hexadecimal number."""
        return self.set(int(value, 16))


class FinnDesign:
    """A design as FINN's engine takes it, which drives the clocks itself."""

    def __init__(self, _kernel: object, simulation: Simulation, *_files: object) -> None:
        self._simulation = simulation

    def getPort(self, name: str) -> FinnPort:  # noqa: N802 - FINN's name
        """A port. Raises RuntimeError where there is none of that name."""
        if name not in self._simulation.signals:
            raise RuntimeError(f"no port {name}")
        return FinnPort(self._simulation, name)

    def ports(self) -> Iterator[FinnPort]:
        """All of them."""
        return (FinnPort(self._simulation, name) for name in self._simulation.signals)

    def run(self, _time: int) -> None:
        """What was driven takes effect."""
        self._simulation.settle()


def _finn_adapter() -> Any:
    """FINN's own adapter and engine, which import Vivado's simulator as the module xsi: here the classes above."""
    module = ModuleType("xsi")
    module.__dict__.update(Kernel=str, Design=FinnDesign, Port=FinnPort)
    sys.modules.setdefault("xsi", module)
    return importlib.import_module("finn_xsi.adapter")


_adapter = _finn_adapter()
_FinnEngine: Any = _adapter.SimEngine


class Engine(Simulation, _FinnEngine):
    """A simulation that also has the methods of FINN's, for hooks."""

    def __init__(self, library: Path, folder: Path | None = None) -> None:
        Simulation.__init__(self, library, folder)
        _FinnEngine.__init__(self, "", self)

    def run(self, inputs: Any = None, outputs: Mapping[str, int] | None = None, **options: Any) -> Any:
        """With `outputs`, Simulation.run. Otherwise FINN's: all that was enlisted, for `inputs` cycles at most."""
        if outputs is None:
            return _FinnEngine.run(self, inputs)
        return Simulation.run(self, inputs, outputs, **options)


def install() -> None:
    """Bind finn.xsi to Verilator and FINN's packing to the fast one, in this process. May be called again."""
    finn.xsi.__dict__.update(
        SimEngine=Engine,
        compile_sim_obj=compile_sim_obj,
        load_sim_obj=load_sim_obj,
        reset_rtlsim=reset_rtlsim,
        close_rtlsim=close_rtlsim,
        rtlsim_multi_io=rtlsim_multi_io,
        get_simkernel_so=lambda: "",
        locate_glbl=lambda: None,
        is_available=lambda: True,
        ensure_available=lambda: True,
    )
    for name, original in FINN_ORIGINALS.items():
        for module in list(sys.modules.values()):  # FINN's own, and those that took it by `from ... import`
            if getattr(module, "__dict__", {}).get(name) is original:
                setattr(module, name, REPLACEMENTS[name])


class PrepareRTLSim(_FinnPrepareRTLSim):
    """FINN's PrepareRTLSim with install() in every worker process.

    `build_dir` is for workers that start with a fresh interpreter (spawn, forkserver): FINN is set up there.
    """

    def __init__(self, num_workers: int | None = None, build_dir: Path | None = None) -> None:
        super().__init__(behav=False, num_workers=num_workers)
        self.build_dir = build_dir
        install()

    def applyNodeLocal(self, node: Any) -> tuple[Any, bool]:  # noqa: N802 - FINN's name
        """Compile one node."""
        if self.build_dir is not None:
            from hw.finn_env import setup  # the operators need it only in a fresh interpreter

            setup(self.build_dir)
        install()
        result: tuple[Any, bool] = super().applyNodeLocal(node)
        return result


def compile_sim_obj(  # noqa: PLR0917 - FINN's signature
    top_module_name: str,
    source_list: Sequence[str],
    sim_out_dir: Path,
    debug: bool = False,
    behav: bool = False,
    fifosim: bool = False,
) -> tuple[Path, Path]:
    """Compile a module; returns (`sim_out_dir`, path of the library in it).

    The path has the folder "xsim.dir" in it, by which FINN takes it apart again.
    Raises UnsupportedError for a wave file (`debug`), and for FINN_SIMULATION (`behav`, `fifosim`): that
    define makes every FIFO unbounded, so that a design that deadlocks passes.
    """
    if debug or behav or fifosim:
        raise UnsupportedError("wave files (rtlsim_trace) and behavioural simulation need Vivado's simulator")
    sources = [Path(source) for source in source_list]
    foreign = [path.name for path in sources if path.suffix not in SOURCE_SUFFIXES]
    if foreign:
        raise UnsupportedError(f"Verilator reads Verilog and SystemVerilog only, not {', '.join(foreign)}")
    try:
        library = build(
            top_module_name, [_patched_copy(path, index, sim_out_dir) for index, path in enumerate(sources)]
        )
    except CompileError as error:
        missing = re.search(r"Cannot find file containing module: '(\w+)'", str(error))
        if missing is None:
            raise
        raise UnsupportedError(
            f"{top_module_name} instantiates {missing[1]}, which is in none of its files: a primitive or an IP of "
            "Vivado, and only Vivado can simulate it"
        ) from error
    for memories in {source.parent / ROM for source in sources if (source.parent / ROM).is_dir()}:
        (Path(sim_out_dir) / ROM).symlink_to(memories.resolve())  # which a design names relative to its folder
    relative = Path("xsim.dir") / top_module_name / "xsimk.so"
    target = Path(sim_out_dir) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(library, target)
    return Path(sim_out_dir), relative


def load_sim_obj(
    sim_out_dir: Path,
    out_so_relative_path: Path,
    tracefile: str | None = None,
    simkernel_so: str | None = None,
) -> Engine:
    """A simulation of the library that compile_sim_obj() made; memories are found from `sim_out_dir`."""
    if tracefile:
        raise UnsupportedError("wave files (rtlsim_trace) need Vivado's simulator")
    return Engine(Path(sim_out_dir) / out_so_relative_path, Path(sim_out_dir))


def reset_rtlsim(sim: Simulation, *_names: object, **_options: object) -> None:
    """16 cycles of reset with one before and one behind, as FINN does."""
    sim.idle(1)
    sim.reset(16)
    sim.idle(1)


def close_rtlsim(sim: Simulation) -> None:
    """Free the simulation."""
    sim.close()


def rtlsim_multi_io(  # noqa: PLR0917 - FINN's signature
    sim: Simulation,
    io_dict: IoDict,
    num_out_values: int | np.integer[Any] | Mapping[str, int],
    sname: str = "_V_V",
    liveness_threshold: int = 10_000,
    liveness_estimate: float | None = None,
) -> int:
    """Feed io_dict["inputs"], fill io_dict["outputs"]; returns the cycles that takes, in FINN's count.

    FINN offers the first beats behind the first edge of the clock, and sees the end one cycle behind the last
    transfer: two cycles more than there are from the first offer to the last transfer.

    One integer a beat. Stream names are the dictionary's with `sname` appended. `num_out_values`: beats of
    every output, or of each by name. Raises StallError, which names the streams, when nothing is transferred
    for `liveness_threshold` cycles.
    """
    if isinstance(sim, Engine) and sim.tasks:
        return int(_adapter.rtlsim_multi_io(sim, io_dict, num_out_values, sname, liveness_threshold, liveness_estimate))
    inputs, outputs = streams(sim, io_dict, num_out_values, sname)
    sim.idle(1)
    result: RunResult = sim.run(inputs, outputs, idle_limit=liveness_threshold)
    sim.idle(1)
    for name in io_dict["outputs"]:
        io_dict["outputs"][name] = to_ints(result.outputs[name + sname])
    return result.cycles + 2


def streams(
    sim: Simulation, io_dict: IoDict, num_out_values: int | np.integer[Any] | Mapping[str, int], sname: str
) -> tuple[dict[str, Beats], dict[str, int]]:
    """The inputs and the numbers of output beats of an exchange, as `Simulation.run` takes them."""
    inputs = {
        name + sname: from_ints(words, sim.stream(name + sname, "in").width_bits)
        for name, words in io_dict["inputs"].items()
    }
    outputs = {
        name + sname: int(num_out_values[name] if isinstance(num_out_values, Mapping) else num_out_values)
        for name in io_dict["outputs"]
    }
    return inputs, outputs


def describe_to_finn(model: ModelWrapper, design: Design) -> None:
    """Set the metadata with which FINN's ``execute_onnx`` simulates a design in the place of a partition's nodes."""
    files = design.rtl / "all_verilog_srcs.txt"
    files.write_text("\n".join(map(str, design.sources())) + "\n")
    names = {
        "clk": ["ap_clk"],
        "rst": ["ap_rst_n"],
        "s_axis": [(f"s_axis_{i}", edge.stream.width) for i, edge in enumerate(design.inputs)],
        "m_axis": [(f"m_axis_{i}", edge.stream.width) for i, edge in enumerate(design.outputs)],
        "aximm": [],
        "axilite": [],
        "ap_none": [],
    }
    model.set_metadata_prop("vivado_stitch_proj", str(design.rtl))
    model.set_metadata_prop("wrapper_filename", str(design.rtl / f"{design.top}.v"))
    model.set_metadata_prop("vivado_stitch_ifnames", json.dumps(names))
    model.set_metadata_prop("exec_mode", "rtlsim")
    model.set_metadata_prop("rtlsim_so", "")  # a library of an earlier design no longer fits


def _patched_copy(path: Path, index: int, folder: Path) -> Path:
    """The source itself, or a copy with patches where it needs any."""
    text = patched(path, SIMULATION)
    if text == path.read_text():
        return path
    copy = Path(folder) / "patched" / str(index) / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(text)
    return copy
