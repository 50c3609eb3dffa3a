# SPDX-License-Identifier: Apache-2.0
"""Frames through a design: whole-accelerator simulation, bit for bit and cycle for cycle."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.design.design import Design, Edge, End
from hw.rtlsim.compile import build
from hw.rtlsim.stress import break_off
from hw.streams.sim import RunResult, Simulation

Ints = npt.NDArray[np.int64]
INTERRUPTED = 1000
"""Cycles that the first half of a frame is left alone in the design when it is not taken whole."""
IDLE_LIMIT = 1_000_000
"""Cycles without a transfer at the border after which a design counts as dead-locked."""


@dataclass(frozen=True)
class FrameResult:
    """What a run of several frames produced.

    Attributes:
        outputs: int64 (frames, ...), the output tensor of each frame.
        first_input: cycle in which the first beat of frame 0 was taken.
        frame_ends: int64 (frames,), the cycle in which the last output beat of each frame was delivered.
        cycles: from the start of the run to the last transfer.
        seconds: of the processor, for these cycles, without compiling, loading and packing.
    """

    outputs: Ints
    first_input: int
    frame_ends: Ints
    cycles: int
    seconds: float

    @property
    def latency(self) -> int:
        """Cycles from the first input beat of frame 0 to its last output beat, both included."""
        return int(self.frame_ends[0]) - self.first_input + 1

    @property
    def interval(self) -> int:
        """Cycles from the end of the last but one frame to the end of the last: steady, given enough frames.

        Raises:
            ValueError: there was only one frame.
        """
        if len(self.frame_ends) < 2:
            raise ValueError("an interval takes at least two frames")
        return int(self.frame_ends[-1] - self.frame_ends[-2])


def open_design(design: Design, text: str = "", sources: Iterable[Path] = (), **compiled: Any) -> Simulation:
    """Compile the design in its folder and open it.

    Args:
        design: what to simulate.
        text: of another top module around the design's cells.
        sources: of what that instantiates besides.
        compiled: see hw.rtlsim.compile.build.
    """
    if not text:
        return Simulation(build(design.top, design.sources(), **compiled), design.rtl)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder) / "top.v"
        top.write_text(text)
        cells = [path for path in design.sources() if path.stem != design.top]
        library = build(design.top, [*cells, *sources, top], **compiled)
    return Simulation(library, design.rtl)


def simulate(
    design: Design,
    frames: npt.ArrayLike,
    *,
    optimise: str = "-O1",
    cache_dir: Path | None = None,
    **disturbed: Any,
) -> FrameResult:
    """Send `frames` back to back through a design with one input and one output.

    Args:
        design: that lies in its folder.
        frames: integers of the input's datatype, (frames, ...) with the shape of the input tensor's frames.
        optimise: of the compiler.
        cache_dir: in place of the cache's folder.
        disturbed: see `run_frames`.

    Raises:
        ValueError: the design has several inputs or outputs, or the frames do not fit the input.
        hw.streams.sim.StallError: the design stopped.
    """
    sink = only(design.outputs, "output")
    with open_design(design, optimise=optimise, cache_dir=cache_dir) as simulation:
        began = time.process_time()
        result = run_frames(simulation, design, np.asarray(frames), **disturbed)
        seconds = time.process_time() - began
    return FrameResult(
        outputs=sink.unpack(result.outputs["m_axis_0"]),
        first_input=int(result.in_cycles["s_axis_0"][0]),
        frame_ends=result.out_cycles["m_axis_0"][sink.beats - 1 :: sink.beats],
        cycles=result.cycles,
        seconds=seconds,
    )


def run_frames(
    simulation: Simulation,
    design: Design,
    frames: npt.NDArray[Any],
    *,
    interrupt: bool = False,
    taps: Mapping[str, int] | None = None,
    **stalls: Any,
) -> RunResult:
    """Reset a simulation and send frames through it, see `simulate`.

    Args:
        simulation: of the design.
        design: with one input and one output.
        frames: for the input.
        interrupt: break a first frame off with a reset half way; the frames after it have to be right.
        taps: beats to keep of further streams.
        stalls: ``stall_in``, ``stall_out``, ``seed`` and ``idle_limit`` of Simulation.run.
    """
    source, sink = only(design.inputs, "input"), only(design.outputs, "output")
    if frames.shape[1:] != source.shape[1:]:
        raise ValueError(f"frames of {frames.shape[1:]} do not fit the input of {source.shape[1:]}")
    beats = source.pack(frames)
    simulation.reset(offer=True)
    if interrupt:
        break_off(simulation, {"s_axis_0": beats[: source.beats]}, {}, idle_limit=INTERRUPTED)
    outputs = {"m_axis_0": len(frames) * sink.beats}
    return simulation.run({"s_axis_0": beats}, outputs, taps=taps, **{"idle_limit": IDLE_LIMIT, **stalls})


def only(edges: tuple[Edge, ...], what: str) -> End:
    """Return the stream of the one edge there is; raises ValueError for more or none."""
    if len(edges) != 1:
        raise ValueError(f"the design has {len(edges)} {what}s, not one")
    return edges[0].stream
