# SPDX-License-Identifier: Apache-2.0
"""Verilator behind finn.xsi: after install(), FINN's own rtlsim runs without Vivado.

FINN reaches its simulator through a handful of names of the module finn.xsi, bound when they are first
used. install() binds them to the functions below, and puts the packing functions of packing.py in the
places of FINN's slow ones.

Worker processes: those started by fork inherit the bindings; those started by forkserver or spawn begin
with a fresh interpreter and have to call install() themselves, e.g.
`multiprocessing.Pool(initializer=install)`. PrepareRTLSim below does it for FINN's transformation of that
name, whatever the start method.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import finn.xsi
import numpy as np
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim as _FinnPrepareRTLSim
from finn.util import data_packing

from hw.rtlsim import packing
from hw.rtlsim.compile import build
from hw.rtlsim.sim import Beats, Simulation

_SOURCE_SUFFIXES = frozenset({".v", ".sv", ".vh", ".svh"})
IoDict = dict[str, dict[str, list[int]]]


class UnsupportedError(RuntimeError):
    """Something of FINN's simulation interface that only Vivado's simulator offers.

    Not a NotImplementedError: FINN passes over that one in silence.
    """


def install() -> None:
    """Bind finn.xsi to Verilator and FINN's packing to the fast one, in this process. May be called again."""
    finn.xsi.__dict__.update(
        SimEngine=Simulation,
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
    for name, replacement in packing.FINN_NAMES.items():
        setattr(data_packing, name, replacement)
        for module in _importers(name):
            setattr(module, name, replacement)


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
    foreign = [path.name for path in sources if path.suffix not in _SOURCE_SUFFIXES]
    if foreign:
        raise UnsupportedError(f"Verilator reads Verilog and SystemVerilog only, not {', '.join(foreign)}")
    library = build(top_module_name, sources)
    relative = Path("xsim.dir") / top_module_name / "xsimk.so"
    target = Path(sim_out_dir) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(library, target)
    except OSError:  # another file system
        shutil.copy2(library, target)
    return Path(sim_out_dir), relative


def load_sim_obj(
    sim_out_dir: Path,
    out_so_relative_path: Path,
    tracefile: str | None = None,
    simkernel_so: str | None = None,
) -> Simulation:
    """A simulation of the library that compile_sim_obj() made."""
    if tracefile:
        raise UnsupportedError("wave files (rtlsim_trace) need Vivado's simulator")
    return Simulation(Path(sim_out_dir) / out_so_relative_path)


def reset_rtlsim(sim: Simulation, *_names: object, **_options: object) -> None:
    """16 cycles of reset, as FINN does."""
    sim.reset(16)


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
    """Feed io_dict["inputs"], fill io_dict["outputs"]; returns the cycles until the last transfer.

    One integer a beat. Stream names are the dictionary's with `sname` appended. `num_out_values`: beats of
    every output, or of each by name. Raises StallError, which names the streams, when nothing is transferred
    for `liveness_threshold` cycles.
    """
    inputs, outputs = streams(sim, io_dict, num_out_values, sname)
    result = sim.run(inputs, outputs, idle_limit=liveness_threshold)
    for name in io_dict["outputs"]:
        io_dict["outputs"][name] = packing.to_ints(result.outputs[name + sname])
    return result.cycles


def streams(
    sim: Simulation, io_dict: IoDict, num_out_values: int | np.integer[Any] | Mapping[str, int], sname: str
) -> tuple[dict[str, Beats], dict[str, int]]:
    """The inputs and the numbers of output beats of an exchange, as `Simulation.run` takes them."""
    widths = {stream.name: stream.width_bits for stream in sim.ports}
    inputs = {}
    for name, words in io_dict["inputs"].items():
        if name + sname not in widths:
            raise ValueError(f"the design has no stream {name + sname}; there are {', '.join(widths)}")
        inputs[name + sname] = packing.from_ints(words, widths[name + sname])
    outputs = {
        name + sname: int(num_out_values[name] if isinstance(num_out_values, Mapping) else num_out_values)
        for name in io_dict["outputs"]
    }
    return inputs, outputs


def _importers(name: str) -> list[Any]:
    """Modules that took FINN's function `name` by `from ... import`."""
    original = packing.FINN_ORIGINALS[name]
    modules = list(sys.modules.values())
    return [module for module in modules if getattr(module, "__dict__", {}).get(name) is original]
