# SPDX-License-Identifier: Apache-2.0
"""Frames through a stitched design: whole-accelerator simulation, bit for bit and cycle for cycle."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hw.rtlsim.compile import build
from hw.rtlsim.packing import pack, unpack
from hw.rtlsim.sim import Beats, Simulation, StallError
from hw.rtlsim.stitch import Edge, StitchedDesign

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
        seconds: wall time of these cycles, without compiling, loading and packing.
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


def compile_design(design: StitchedDesign, *, optimise: str = "-O1", cache_dir: Path | None = None) -> Path:
    """The shared library of `design` (see hw.rtlsim.compile.build)."""
    return build(design.top, design.sources, optimise=optimise, cache_dir=cache_dir)


def simulate(
    design: StitchedDesign,
    frames: npt.ArrayLike,
    *,
    stall_in: float = 0.0,
    stall_out: float = 0.0,
    seed: int = 0,
    interrupt: bool = False,
    idle_limit: int = IDLE_LIMIT,
    optimise: str = "-O1",
    cache_dir: Path | None = None,
) -> FrameResult:
    """Send `frames` back to back through a design with one input and one output.

    Args:
        frames: integers of the input's datatype, (frames, ...) with the shape of the input tensor's frames.
        stall_in: probability, each cycle, that the source holds back a beat.
        stall_out: probability, each cycle, that the sink is not ready.
        seed: of the stalls.
        interrupt: break a first frame off with a reset half way; the frames after it have to be right.
        idle_limit: cycles without a transfer at the border after which the design counts as dead-locked.

    Raises:
        ValueError: the design has several inputs or outputs, or the frames do not fit the input.
        hw.rtlsim.sim.StallError: the design stopped; hw.rtlsim.fifo.diagnose names the FIFO to blame.
    """
    source, sink = _only(design.inputs, "input"), _only(design.outputs, "output")
    values = np.asarray(frames)
    if values.shape[1:] != source.stream.shape[1:]:
        raise ValueError(f"frames of {values.shape[1:]} do not fit the input of {source.stream.shape[1:]}")
    count = len(values)
    beats = pack(values.reshape(-1, source.stream.folded_shape[-1]), source.stream.datatype, source.stream.width)
    with Simulation(compile_design(design, optimise=optimise, cache_dir=cache_dir)) as simulation:
        simulation.reset(offer=True)
        if interrupt:
            begin(simulation, {"s_axis_0": beats[: source.stream.beats]})
        began = time.perf_counter()
        result = simulation.run(
            {"s_axis_0": beats},
            {"m_axis_0": count * sink.stream.beats},
            stall_in=stall_in,
            stall_out=stall_out,
            seed=seed,
            idle_limit=idle_limit,
        )
        seconds = time.perf_counter() - began
    outputs = unpack(result.outputs["m_axis_0"], sink.stream.datatype, sink.stream.folded_shape[-1])
    return FrameResult(
        outputs=outputs.reshape(count, *sink.stream.shape[1:]),
        first_input=int(result.in_cycles["s_axis_0"][0]),
        frame_ends=result.out_cycles["m_axis_0"][sink.stream.beats - 1 :: sink.stream.beats],
        cycles=result.cycles,
        seconds=seconds,
    )


def begin(simulation: Simulation, frame: Mapping[str, Beats]) -> None:
    """Send the first half of a frame, then reset."""
    half = {name: beats[: len(beats) // 2 + 1] for name, beats in frame.items()}
    with contextlib.suppress(StallError):  # a design may take less while nobody takes its output
        simulation.run(half, {}, idle_limit=INTERRUPTED)
    simulation.reset(offer=True)


def _only(edges: tuple[Edge, ...], what: str) -> Edge:
    if len(edges) != 1:
        raise ValueError(f"the design has {len(edges)} {what}s, not one")
    return edges[0]
