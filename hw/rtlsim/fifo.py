# SPDX-License-Identifier: Apache-2.0
"""Where FIFOs are needed, and how deep: found by simulating the whole design.

Every edge gets a gauge, a FIFO whose capacity is set from outside (stream_gauge.sv). The design is compiled
once; after that a choice of depths costs one run. More capacity never makes such a design slower, so a search
is safe:

1. All gauges as deep as they go: the interval between frames is that of the slowest node. This is the target.
2. The source throttled to that interval, its beats spread evenly: each gauge's highest level is enough for
   the target, and far less than what a source at full speed piles up in front of the slowest node.
3. Gauges that a beat only passes become wires, as many as keep the target; the others shrink step by step,
   the costly ones first.
4. FINN's FIFOs of these depths are built and simulated.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.ops.cell_op import CellOp
from hw.ops.generation import generate
from hw.ops.width_converter import KINDS as CONVERTERS
from hw.rtlsim.sim import Simulation, StallError
from hw.rtlsim.stitch import Edge, StitchedDesign, Stream, edges, stitch
from hw.rtlsim.stitched import compile_design, simulate
from hw.transforms.specialise import SpecialiseOwn

FIFO = "StreamingFIFO_rtl"
REPORT = "fifos.json"

_log = logging.getLogger(__name__)
_RTL_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
_LUTS_PER_BRAM18 = 190  # on the XC7Z020: 53,200 LUTs, 280 BRAM18
_ATTEMPTS = 3
_PASSING = 2  # a level that a gauge reaches when nothing waits in it


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
class Trial:
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
        return float(np.diff(self.frame_ends)[-2:].max()) if self.frame_ends else float("inf")


class GaugedDesign:
    """A design without FIFOs, compiled once with a gauge on every edge."""

    def __init__(self, model: ModelWrapper, build_dir: Path) -> None:
        self.design: StitchedDesign = stitch(model, build_dir, gauges=True)
        self.edges = self.design.gauges
        self._simulation = Simulation(compile_design(self.design))

    def run(
        self,
        limits: Sequence[int],
        frames: int,
        *,
        period: float | None = None,
        max_cycles: int | None = None,
        idle_limit: int = 1_000_000,
    ) -> Trial:
        """Run `frames` frames with capacity `limits[i]` on edge i, 0 for a wire.

        Args:
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
            return Trial((), self._read("peak"), self._blocked(limits))
        ends = np.max([result.out_cycles[name][count - 1 :: count] for name, count in beats.items()], axis=0)
        return Trial(tuple(int(end) for end in ends), self._read("peak"))

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


def size_fifos(model: ModelWrapper, part: str, clk_ns: float, build_dir: Path, frames: int = 5) -> ModelWrapper:
    """Insert width converters and FIFOs so that `model` runs at the pace of its slowest node.

    The result has generated HDL and is stitched below `build_dir`, where ``fifos.json`` lists the FIFOs.

    Args:
        model: specialised partition without FIFOs, nodes named.
        part: FPGA part, e.g. xc7z020clg400-1.
        clk_ns: clock period in nanoseconds.
        frames: of a trial; the design must be in its steady state before the last two.

    Raises:
        FifoError: the design dead-locks even with FIFOs of several frames, or FINN's FIFOs miss the target.
    """
    plain = generate(insert_width_converters(model, part), part, clk_ns, build_dir / "plain")
    gauged = GaugedDesign(plain, build_dir / "gauged")
    search = _Search(gauged, frames)
    limits = search.smallest()
    for attempt in range(_ATTEMPTS):
        depths = {edge.tensor: limit for edge, limit in zip(gauged.edges, limits, strict=True) if limit}
        sized = generate(insert_fifos(plain, depths), part, clk_ns, build_dir / "sized")
        interval = _interval(stitch(sized, build_dir / "stitched"), frames)
        if interval <= search.target:
            _write_report(build_dir / REPORT, gauged.edges, limits, search, interval)
            return sized
        _log.warning("attempt %d: FINN's FIFOs give %s cycles a frame, not %d", attempt, interval, search.target)
        limits = [search.next_step(index, limit) for index, limit in enumerate(limits)]
    raise FifoError(f"{_ATTEMPTS} choices of depths stay above {search.target} cycles a frame")


def insert_width_converters(model: ModelWrapper, part: str) -> ModelWrapper:
    """Put an RTL width converter on every edge whose ends differ in elements a beat.

    Other nodes keep their names.
    """
    converted = model.transform(InsertDWC()).transform(SpecialiseOwn()).transform(SpecializeLayers(part))
    new = [node for node in converted.graph.node if node.op_type.startswith(CONVERTERS)]
    for index, node in enumerate(new):
        node.name = f"{node.op_type}_{index}"
        converted.rename_tensor(node.output[0], f"{node.input[0]}_dwc")
        converted.set_tensor_datatype(node.output[0], getCustomOp(node).get_output_datatype())
        if not isinstance(getCustomOp(node), CellOp):
            # without it FINN's Python execution skips the node, and its consumer sees zeros
            getCustomOp(node).set_nodeattr("exec_mode", "cppsim")
    return converted


def insert_fifos(model: ModelWrapper, depths: Mapping[str, int]) -> ModelWrapper:
    """Put a FIFO of ``depths[tensor]`` beats (2 or more) on each tensor named; the model is not changed."""
    result = ModelWrapper(model.model, make_deepcopy=True)
    graph = result.graph
    known = {edge.tensor: edge for edge in edges(result)}
    for number, (tensor, depth) in enumerate(depths.items()):
        edge = known[tensor]
        node = _fifo_node(edge.stream, depth, tensor, f"{tensor}_fifo", f"{FIFO}_{number}")
        position = len(graph.node)
        if edge.sink is None:
            # the graph's output keeps its name
            producer = result.find_producer(tensor)
            producer.output[list(producer.output).index(tensor)] = node.output[0]
            node.input[0], node.output[0] = node.output[0], tensor
        else:
            names = [other.name for other in graph.node]
            position = names.index(edge.sink.node)
            consumer = graph.node[position]
            consumer.input[list(consumer.input).index(tensor)] = node.output[0]
        graph.node.insert(position, node)
        result.set_tensor_shape(f"{tensor}_fifo", list(edge.stream.shape))
        result.set_tensor_datatype(f"{tensor}_fifo", edge.stream.datatype)
    return result


def remove_fifos(model: ModelWrapper) -> tuple[ModelWrapper, dict[str, int]]:
    """The model without its FIFOs, and the depth that each tensor had; the inverse of insert_fifos."""
    result = ModelWrapper(model.model, make_deepcopy=True)
    outputs = {value.name for value in result.graph.output}
    depths: dict[str, int] = {}
    for node in [node for node in result.graph.node if node.op_type == FIFO]:
        before, after = node.input[0], node.output[0]
        depth = int(getCustomOp(node).get_nodeattr("depth"))
        if after in outputs:
            producer = result.find_producer(before)
            producer.output[list(producer.output).index(before)] = after
            depths[after] = depth
        else:
            consumer = result.find_consumer(after)
            consumer.input[list(consumer.input).index(after)] = before
            depths[before] = depth
        result.graph.node.remove(node)
    return result, depths


def diagnose(model: ModelWrapper, build_dir: Path, frames: int = 3) -> tuple[Blocked, ...]:
    """Where a design with FIFOs dead-locks: the joins that wait, and the full edges. Empty where it runs.

    The nodes must have generated HDL. Compiles the design with gauges in the places of the FIFOs.
    """
    plain, depths = remove_fifos(model)
    gauged = GaugedDesign(plain, build_dir)
    limits = [min(_capacity(depths.get(e.tensor, 0)), e.stream.gauge_depth) for e in gauged.edges]
    return gauged.run(limits, frames).blocked


def fifo_bits(model: ModelWrapper) -> int:
    """Bits that the FIFOs of a model hold, without the padding of their beats to bytes."""
    fifos = [getCustomOp(node) for node in model.graph.node if node.op_type == FIFO]
    return sum(int(fifo.get_nodeattr("depth")) * int(fifo.get_instream_width()) for fifo in fifos)


@dataclass(frozen=True)
class _Step:
    """A depth worth considering, with its cost in LUTs (a BRAM18 counts as its share of the chip)."""

    depth: int
    ram_style: str
    luts: float


class _Search:
    """Looks for the smallest capacities that keep the target interval."""

    def __init__(self, gauged: GaugedDesign, frames: int) -> None:
        self._gauged = gauged
        self._frames = frames
        self._streams = [edge.stream for edge in gauged.edges]
        self.trials = 0
        free = gauged.run([stream.gauge_depth for stream in self._streams], frames)
        if not free.frame_ends:
            blocked = "; ".join(map(str, free.blocked)) or "no join is blocked"
            raise FifoError(f"the design stops even with FIFOs of several frames: {blocked}")
        self.target = int(free.interval)
        # slower than this is too slow in any case
        self._budget = free.frame_ends[-1] + 2 * self.target
        self.peaks = gauged.run(
            [stream.gauge_depth for stream in self._streams],
            frames,
            period=self.target,
            max_cycles=4 * self._budget,
        ).peaks

    def smallest(self) -> list[int]:
        """Capacities, each that of a FIFO worth building or 0."""
        limits = [_at_least(stream, peak).depth for stream, peak in zip(self._streams, self.peaks, strict=True)]
        if not self._holds(limits):
            raise FifoError(f"the levels of a throttled run are too low for {self.target} cycles a frame")
        passing = [index for index, peak in enumerate(self.peaks) if peak <= _PASSING]
        limits = self._drop(limits, passing)
        for index in sorted(range(len(limits)), key=lambda i: -_cost(self._streams[i], limits[i])):
            limits = self._shrink(limits, index)
        _log.info("%d trials for %d edges", self.trials, len(limits))
        return limits

    def next_step(self, index: int, limit: int) -> int:
        """The depth above `limit`, 0 staying 0."""
        return _at_least(self._streams[index], limit + 1).depth if limit else 0

    def _holds(self, limits: Sequence[int]) -> bool:
        self.trials += 1
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

    def _shrink(self, limits: list[int], index: int) -> list[int]:
        """Lower one gauge by as many steps as possible: one, two more, four more, while the target holds."""
        depths = [step.depth for step in _ladder(self._streams[index])]
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


def _ladder(stream: Stream) -> tuple[_Step, ...]:
    return _steps(stream.width, stream.gauge_depth)


@cache
def _steps(width: int, deepest: int) -> tuple[_Step, ...]:
    """Depths that fill what they occupy, up to `deepest`: the most depth for each cost, 0 first."""
    powers = [2**exponent for exponent in range(6, deepest.bit_length() + 1)]
    # one beat more than the memory: the output register
    depths = [5, 17, 33, *sorted({size + 1 for power in powers for size in (power, power + power // 2)})]
    steps = [_Step(0, "auto", 0.0)]
    for depth in depths:
        styles = ("auto",) if depth <= 33 else ("distributed", "block")
        best = min((_Step(depth, style, _price(width, depth, style)) for style in styles), key=lambda step: step.luts)
        if len(steps) > 1 and best.luts <= steps[-1].luts:
            steps.pop()
        steps.append(best)
    return tuple(steps)


def _price(width: int, depth: int, ram_style: str) -> float:
    stream = {"folded_shape": [1, 1, width], "normal_shape": [1, width], "dataType": "BINARY"}
    node = helper.make_node(FIFO, ["in"], ["out"], domain=_RTL_DOMAIN, depth=depth, ram_style=ram_style, **stream)
    cost = getCustomOp(node).get_fifo_cost("xc7z020clg400-1")
    return float(cost.lut + _LUTS_PER_BRAM18 * cost.bram)


def _at_least(stream: Stream, beats: int) -> _Step:
    """The cheapest step that holds `beats`; the deepest one where none does."""
    ladder = _ladder(stream)
    return next((step for step in ladder if step.depth >= beats), ladder[-1])


def _cost(stream: Stream, depth: int) -> float:
    return _at_least(stream, depth).luts


def _capacity(depth: int) -> int:
    """Beats that FINN's FIFO of `depth` holds: at least four in shift registers, one in the output register."""
    return max(depth, 5) if depth else 0


def _fifo_node(stream: Stream, depth: int, source: str, sink: str, name: str) -> NodeProto:
    return helper.make_node(
        FIFO,
        [source],
        [sink],
        name=name,
        domain=_RTL_DOMAIN,
        backend="fpgadataflow",
        depth=depth,
        folded_shape=list(stream.folded_shape),
        normal_shape=list(stream.shape),
        dataType=stream.datatype.name,
        ram_style=_at_least(stream, depth).ram_style if depth > 33 else "auto",
    )


def _interval(design: StitchedDesign, frames: int) -> float:
    shape = design.inputs[0].stream.shape[1:]
    value = int(design.inputs[0].stream.datatype.max())
    try:
        ends = simulate(design, np.full((frames, *shape), value)).frame_ends
    except StallError:
        return float("inf")
    return float(np.diff(ends)[-2:].max())


def _write_report(path: Path, wires: Iterable[Edge], limits: Sequence[int], search: _Search, interval: float) -> None:
    fifos = [
        {
            "tensor": edge.tensor,
            "from": edge.source.node if edge.source else None,
            "to": edge.sink.node if edge.sink else None,
            "depth": limit,
            "bits": limit * edge.stream.bits,
            "ram_style": _at_least(edge.stream, limit).ram_style,
            "peak_throttled": peak,
        }
        for edge, limit, peak in zip(wires, limits, search.peaks, strict=True)
        if limit
    ]
    summary = {
        "interval_cycles": int(interval),
        "edges": len(limits),
        "fifos": len(fifos),
        "bits": sum(limit * edge.stream.bits for edge, limit in zip(wires, limits, strict=True)),
        "trials": search.trials,
    }
    path.write_text(json.dumps({"summary": summary, "fifos": fifos}, indent=2) + "\n")
