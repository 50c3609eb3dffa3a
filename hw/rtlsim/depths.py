# SPDX-License-Identifier: Apache-2.0
"""Where FIFOs are needed, and how deep: found by simulating the whole design.

Every edge gets a gauge, a FIFO whose capacity is set from outside (stream_gauge.sv). The design is compiled
once; after that a choice of depths costs one run. More capacity never makes such a design slower, so a search
is safe:

1. All gauges as deep as they go: the interval between frames is that of the slowest node. This is the target.
2. The source throttled to that interval, its beats spread evenly: each gauge's highest level is enough for
   the target, and far less than what a source at full speed piles up in front of the slowest node.
3. Gauges that a beat only passes become wires, as many as keep the target; the others shrink step by step,
   the costly ones first, and beats wait in front of a node rather than behind it where that costs less.
4. FIFOs of these depths are built and simulated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper

from hw.design.design import Design, Edge
from hw.design.fifos import Prices, Rung, insert_fifos
from hw.design.generate import generate_hdl
from hw.design.stitch import stitch
from hw.design.top import GAUGE_SOURCES, gauge_depth, whole
from hw.rtlsim.whole import IDLE_LIMIT, open_design, simulate
from hw.streams.sim import StallError

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
_LEFT = 3
"""Rungs that are tried for a gauge whose beats wait in front of its source; one that has few of them takes turns."""
_PASSING = 2  # a level that a gauge reaches when nothing waits in it
FRAMES = 5
"""Of a trial; the design must be in its steady state before the last two."""


class FifoError(Exception):
    """No FIFO depths make the design run as fast as its slowest node; the message says what was tried."""


@dataclass(frozen=True)
class Blocked:
    """A join that waits: its input edge `full` holds all it can while its input edge `starved` is empty."""

    full: Edge
    capacity: int
    starved: Edge

    def __str__(self) -> str:
        node = self.full.sink.node if self.full.sink else "outside"
        return f"{node} waits for {self.starved} while {self.full} is full with {self.capacity} beats"


@dataclass(frozen=True)
class GaugedRun:
    """One run with gauges.

    Attributes:
        frame_ends: cycle in which each frame's last output beat left; empty where the run did not finish.
        peaks: the most beats each gauge held.
        blocked: where the run dead-locked.
    """

    frame_ends: tuple[int, ...]
    peaks: tuple[int, ...]
    blocked: tuple[Blocked, ...] = ()

    @property
    def interval(self) -> float:
        """The longer of the last two distances between ends of frames; infinite if the run did not finish."""
        return _steady(self.frame_ends) if self.frame_ends else float("inf")


class GaugedDesign:
    """A design without FIFOs, compiled once with a gauge on every edge."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.edges = design.edges
        self._simulation = open_design(design, whole(design, gauges=True), GAUGE_SOURCES, assertions=False)

    def run(
        self,
        limits: Sequence[int],
        frames: int,
        *,
        period: float | None = None,
        max_cycles: int | None = None,
        idle_limit: int = IDLE_LIMIT,
    ) -> GaugedRun:
        """Run `frames` frames with capacity `limits[i]` on edge i, 0 for a wire.

        Args:
            limits: beats for each edge.
            frames: all alike; their values do not matter.
            period: cycles over which the source spreads the beats of a frame; None for full speed.
            max_cycles: give up after these.
            idle_limit: cycles without a transfer at the border that make a dead-lock.
        """
        simulation = self._simulation
        for index, limit in enumerate(limits):
            simulation.poke(f"gauge_{index}_limit", limit)
        for index, edge in enumerate(self.design.inputs):
            simulation.poke(f"pacer_{index}_rate", int(edge.stream.beats * 2**32 / period) if period else 0)
        simulation.reset()
        inputs = {
            f"s_axis_{index}": np.zeros((frames * edge.stream.beats, edge.stream.width // 8), dtype=np.uint8)
            for index, edge in enumerate(self.design.inputs)
        }
        beats = {f"m_axis_{index}": edge.stream.beats for index, edge in enumerate(self.design.outputs)}
        try:
            result = simulation.run(
                inputs,
                {name: frames * count for name, count in beats.items()},
                max_cycles=max_cycles,
                idle_limit=idle_limit,
            )
        except StallError:
            return GaugedRun((), self._read("peak"), self._blocked(limits))
        ends = np.max([result.out_cycles[name][count - 1 :: count] for name, count in beats.items()], axis=0)
        return GaugedRun(tuple(int(end) for end in ends), self._read("peak"))

    def _read(self, what: str) -> tuple[int, ...]:
        return tuple(self._simulation.peek(f"gauge_{index}_{what}") for index in range(len(self.edges)))

    def _blocked(self, limits: Sequence[int]) -> tuple[Blocked, ...]:
        joins: dict[str, list[int]] = {}
        for index, edge in enumerate(self.edges):
            if edge.sink:
                joins.setdefault(edge.sink.node, []).append(index)
        levels = self._read("level")
        return tuple(
            Blocked(self.edges[full], limits[full], self.edges[starved])
            for inputs in joins.values()
            for full in inputs
            for starved in inputs
            if levels[full] >= max(limits[full], 1) and levels[starved] == 0
        )


@dataclass(frozen=True)
class Sized:
    """A design with FIFOs, its graph, and how many choices of depths were run.

    `peaks` are the most beats that wait on each tensor where frames come at the design's pace and no FIFO is short.
    """

    model: ModelWrapper
    design: Design
    trials: int
    peaks: dict[str, int]


def size_fifos(
    model: ModelWrapper,
    prices: Prices,
    clk_ns: float,
    folder: Path,
    scratch: Path,
    *,
    frames: int = FRAMES,
    progress: Callable[[str], None] = lambda text: None,
) -> Sized:
    """Make the design of a partition, with FIFOs so that it runs at the pace of its slowest node.

    Args:
        model: specialised partition with width converters and without FIFOs, nodes named.
        prices: of FIFOs, and the FPGA part.
        clk_ns: clock period in nanoseconds.
        folder: of the design.
        scratch: for FINN's HDL and the design without FIFOs.
        frames: of a trial.
        progress: called with a line now and then.

    Raises:
        FifoError: the design dead-locks even with FIFOs of several frames, or its FIFOs miss the target.
        DesignError: the nodes do not fit together.
    """
    progress("HDL of every node")
    plain = generate_hdl(model, prices.part, clk_ns, scratch / "hdl")
    progress("compiling the design with gauges")
    gauged = GaugedDesign(stitch(plain, scratch / "plain", prices.part, clk_ns))
    search = _Search(gauged, frames, prices, progress)
    limits = search.smallest()
    for attempt in range(_ATTEMPTS):
        depths = {edge.tensor: limit for edge, limit in zip(gauged.edges, limits, strict=True) if limit}
        sized = generate_hdl(insert_fifos(plain, depths, prices), prices.part, clk_ns, scratch / "hdl")
        progress(f"compiling the design with {len(depths)} FIFOs")
        design = stitch(sized, folder, prices.part, clk_ns)
        interval = _interval(design, frames)
        if interval <= search.target:
            return Sized(sized, design, search.trials, search.peaks)
        _log.warning("attempt %d: the FIFOs give %s cycles a frame, not %d", attempt, interval, search.target)
        limits = [search.next_step(index, limit) for index, limit in enumerate(limits)]
    raise FifoError(f"{_ATTEMPTS} choices of depths stay above {search.target} cycles a frame")


class _Search:
    """Looks for the smallest capacities that keep the target interval."""

    def __init__(self, gauged: GaugedDesign, frames: int, prices: Prices, progress: Callable[[str], None]) -> None:
        self._gauged = gauged
        self._frames = frames
        self._prices = prices
        self._progress = progress
        self._streams = [edge.stream for edge in gauged.edges]
        self.trials = 0
        deepest = [gauge_depth(stream) for stream in self._streams]
        free = gauged.run(deepest, frames)
        if not free.frame_ends:
            blocked = "; ".join(map(str, free.blocked)) or "no join is blocked"
            raise FifoError(f"the design stops even with FIFOs of several frames: {blocked}")
        self.target = int(free.interval)
        # slower than this is too slow in any case
        self._budget = free.frame_ends[-1] + 2 * self.target
        self._peaks = gauged.run(deepest, frames, period=self.target, max_cycles=4 * self._budget).peaks
        self.peaks = {edge.tensor: peak for edge, peak in zip(gauged.edges, self._peaks, strict=True)}

    def smallest(self) -> list[int]:
        """Return capacities, each that of a FIFO worth building or 0."""
        # a gauge takes nothing while it is full
        limits = [self._rung(index, peak + 1).depth for index, peak in enumerate(self._peaks)]
        if not self._holds(limits):
            raise FifoError(f"the levels of a throttled run are too low for {self.target} cycles a frame")
        limits = self._drop(limits, [index for index, peak in enumerate(self._peaks) if peak <= _PASSING])
        for index in sorted(range(len(limits)), key=lambda i: -self._rung(i, limits[i]).luts):
            limits = self._moved(self._shrink(limits, index), index)
        _log.info("%d trials for %d edges", self.trials, len(limits))
        return limits

    def next_step(self, index: int, limit: int) -> int:
        """Return the depth above `limit`, 0 staying 0."""
        return self._rung(index, limit + 1).depth if limit else 0

    def _rung(self, index: int, beats: int) -> Rung:
        return self._prices.at_least(self._streams[index], beats)

    def _holds(self, limits: Sequence[int]) -> bool:
        self.trials += 1
        self._progress(f"FIFO depths: {self.trials} trials, {sum(map(bool, limits))} FIFOs on {len(limits)} edges")
        trial = self._gauged.run(limits, self._frames, max_cycles=self._budget, idle_limit=self._budget)
        return trial.interval <= self.target

    def _drop(self, limits: list[int], group: list[int]) -> list[int]:
        """Turn as many gauges of `group` as possible into wires; halves it where all at once are too many."""
        if not group:
            return limits
        wired = [0 if index in group else limit for index, limit in enumerate(limits)]
        if self._holds(wired):
            return wired
        if len(group) == 1:
            return limits
        middle = len(group) // 2
        return self._drop(self._drop(limits, group[:middle]), group[middle:])

    def _moved(self, limits: list[int], index: int) -> list[int]:
        """Let beats wait in front of a gauge's source if that costs less: a window is wider than its pixels."""
        source = self._gauged.edges[index].source
        sinks = [edge.sink.node if edge.sink else "" for edge in self._gauged.edges]
        if not limits[index] or source is None or sinks.count(source.node) != 1:
            return limits
        before = sinks.index(source.node)
        if self._streams[before].bits >= self._streams[index].bits:
            return limits
        price = self._rung(index, limits[index]).luts + self._rung(before, limits[before]).luts
        for left in self._prices.ladder(self._streams[index])[:_LEFT]:
            moved = list(limits)
            wider = [r.depth for r in self._prices.ladder(self._streams[before]) if r.luts + left.luts < price]
            moved[index], moved[before] = left.depth, max(wider, default=0)
            if left.depth < limits[index] and moved[before] > limits[before] and self._holds(moved):
                return self._shrink(moved, before)
        return limits

    def _shrink(self, limits: list[int], index: int) -> list[int]:
        """Lower one gauge by as many steps as possible: one, two more, four more, while the target holds."""
        depths = [rung.depth for rung in self._prices.ladder(self._streams[index])]
        stride = 1
        while limits[index]:
            position = depths.index(limits[index])
            lower = list(limits)
            lower[index] = depths[max(position - stride, 0)]
            if self._holds(lower):
                limits, stride = lower, 2 * stride
            elif stride > 1:
                stride = 1
            else:
                break
        return limits


def _interval(design: Design, frames: int) -> float:
    source = design.inputs[0].stream
    values = np.zeros((frames, *source.shape[1:]), dtype=np.int64)
    try:
        return _steady(simulate(design, values).frame_ends)
    except StallError:
        return float("inf")


def _steady(frame_ends: npt.ArrayLike) -> float:
    """Return the longer of the last two distances between the ends of frames."""
    return float(np.diff(frame_ends)[-2:].max())
