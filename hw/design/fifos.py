# SPDX-License-Identifier: Apache-2.0
"""Width converters and FIFOs in a partition, and what FIFOs cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.design.design import FIFO, End
from hw.design.stitch import edges
from hw.design.top import gauge_depth
from hw.ops.cell_op import RTL_DOMAIN, CellOp
from hw.ops.registry import describe
from hw.ops.stream_fifo import SHALLOWEST, queue
from hw.ops.width_converter import KINDS as CONVERTERS
from hw.transforms.specialise import SpecialiseOwn

_FLIP_FLOP = 0.5
"""Its price in LUTs: a slice has two for each."""
_PLACEABLE = 0.9
"""Share of the block RAMs up to which they are filled for the sake of LUTs."""
_WORTH = 50.0
"""LUTs that a FIFO has to save with a block RAM of 18 kbit, even where nothing else needs that."""


@dataclass(frozen=True)
class Rung:
    """A depth worth considering, with its price."""

    depth: int
    ram_style: str
    luts: float


@dataclass(frozen=True)
class Prices:
    """What FIFOs cost on a part, in LUTs: other resources at as many as there are for each.

    Attributes:
        part: the FPGA.
        luts_per_bram18: the price of a block RAM of 18 kbit.
        spare: block RAMs of 18 kbit that the design leaves free: those FIFOs get them that save most LUTs.
    """

    part: str
    luts_per_bram18: float
    spare: int = 0

    def ladder(self, stream: End) -> tuple[Rung, ...]:
        """Return the depths that fill what they occupy: the most depth for each price, 0 first."""
        return _ladder(self, stream.bits, gauge_depth(stream))

    def at_least(self, stream: End, beats: int) -> Rung:
        """Return the cheapest rung that holds `beats`; the deepest one where none does."""
        ladder = self.ladder(stream)
        return next((rung for rung in ladder if rung.depth >= beats), ladder[-1])

    def price(self, width: int, depth: int, ram_style: str) -> float:
        """Return the price of a FIFO."""
        cost = queue(width, depth, ram_style)
        flip_flops = width * {"registers": depth, "srl": 1, "block": 0}[ram_style]  # block RAM has some
        return cost.lut + _FLIP_FLOP * flip_flops + 2 * cost.bram36 * self.luts_per_bram18

    def forms(self, queues: Mapping[str, tuple[End, int]]) -> dict[str, tuple[int, str]]:
        """Return depth and memory of FIFOs that hold as many beats on these streams."""
        found = {name: (depth, self.at_least(stream, depth).ram_style) for name, (stream, depth) in queues.items()}
        spare, moves = float(self.spare), []
        for name, (depth, style) in found.items():
            width = queues[name][0].bits
            block = (1 << (depth - 1).bit_length(), "block")  # a power of two, see stream_fifo.sv
            now, then = queue(width, depth, style), queue(width, *block)
            spare -= 2 * now.bram36
            if style != "block":
                moves.append(((now.lut - then.lut) / (2 * then.bram36), 2 * then.bram36, name, block))
        for saved, brams, name, block in sorted(moves, reverse=True):
            if saved >= _WORTH and brams <= spare:
                found[name] = block
                spare -= brams
        return found


def spare_block_rams(model: ModelWrapper, part: str, bram36: int) -> int:
    """Return the block RAMs of 18 kbit that a graph leaves of `bram36`, of which a tenth stays for the placer."""
    used = sum(describe(getCustomOp(node)).cost(part).bram36 for node in model.graph.node)
    return max(0, int(2 * (_PLACEABLE * bram36 - used)))


@cache
def _ladder(prices: Prices, width: int, deepest: int) -> tuple[Rung, ...]:
    powers = [2**exponent for exponent in range(6, deepest.bit_length() + 1)]
    shifts = [17, *range(33, 514, 32)]  # one beat more than the memory: the output register
    depths = {2, 3, *shifts, *powers, *(power + power // 2 for power in powers)}
    rungs = [Rung(0, "registers", 0.0)]
    for depth in sorted(depths):
        forms = [style for style, least in SHALLOWEST.items() if least <= depth]
        best = min((Rung(depth, form, prices.price(width, depth, form)) for form in forms), key=lambda rung: rung.luts)
        while len(rungs) > 1 and best.luts <= rungs[-1].luts:
            rungs.pop()
        rungs.append(best)
    return tuple(rungs)


def insert_width_converters(model: ModelWrapper, part: str) -> ModelWrapper:
    """Put an RTL width converter on every edge whose ends differ in elements per beat; other nodes keep their names."""
    converted = model.transform(InsertDWC()).transform(SpecialiseOwn()).transform(SpecializeLayers(part))
    new = [node for node in converted.graph.node if node.op_type.startswith(CONVERTERS)]
    for index, node in enumerate(new):
        node.name = f"{node.op_type}_{index}"
        node.doc_string = converted.find_consumer(node.output[0]).doc_string
        converted.rename_tensor(node.output[0], f"{node.input[0]}_dwc")
        converted.set_tensor_datatype(node.output[0], getCustomOp(node).get_output_datatype())
        if not isinstance(getCustomOp(node), CellOp):
            # without it FINN's Python execution skips the node, and its consumer sees zeros
            getCustomOp(node).set_nodeattr("exec_mode", "cppsim")
    return converted


def insert_fifos(model: ModelWrapper, depths: Mapping[str, int], prices: Prices) -> ModelWrapper:
    """Put a FIFO that holds ``depths[tensor]`` beats on each tensor named; the model is not changed."""
    result = ModelWrapper(model.model, make_deepcopy=True)
    graph = result.graph
    known = {edge.tensor: edge for edge in edges(result)}
    forms = prices.forms({tensor: (known[tensor].stream, depth) for tensor, depth in depths.items()})
    for number, (tensor, (depth, style)) in enumerate(forms.items()):
        edge = known[tensor]
        node = _fifo(edge.stream, depth, style, tensor, f"{FIFO}_{number}")
        position = len(graph.node)
        if edge.sink is None:
            # the graph's output keeps its name
            producer = result.find_producer(tensor)
            producer.output[list(producer.output).index(tensor)] = node.output[0]
            node.input[0], node.output[0] = node.output[0], tensor
        else:
            position = [other.name for other in graph.node].index(edge.sink.node)
            consumer = graph.node[position]
            node.doc_string = consumer.doc_string
            consumer.input[list(consumer.input).index(tensor)] = node.output[0]
        graph.node.insert(position, node)
        result.set_tensor_shape(f"{tensor}_fifo", list(edge.stream.shape))
        result.set_tensor_datatype(f"{tensor}_fifo", result.get_tensor_datatype(tensor))
    return result


def _fifo(stream: End, depth: int, ram_style: str, tensor: str, name: str) -> NodeProto:
    return helper.make_node(
        FIFO,
        [tensor],
        [f"{tensor}_fifo"],
        name=name,
        domain=RTL_DOMAIN,
        backend="fpgadataflow",
        depth=depth,
        folded_shape=list(stream.folded_shape),
        normal_shape=list(stream.shape),
        dataType=stream.datatype,
        ram_style=ram_style,
    )
