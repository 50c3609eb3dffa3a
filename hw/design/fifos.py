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
from hw.ops.cell_op import CellOp
from hw.ops.width_converter import KINDS as CONVERTERS
from hw.transforms.specialise import SpecialiseOwn

_RTL_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
_SHALLOW = 33
"""Depth up to which FINN builds a FIFO of shift registers."""


@dataclass(frozen=True)
class Rung:
    """A depth worth considering, with its cost in LUTs (a BRAM18 counts as its share of the chip)."""

    depth: int
    ram_style: str
    luts: float


@dataclass(frozen=True)
class Prices:
    """What FIFOs cost on a part, of which a BRAM18 is worth so many LUTs: as many as there are for each."""

    part: str
    luts_per_bram18: float

    def ladder(self, stream: End) -> tuple[Rung, ...]:
        """Return the depths that fill what they occupy: the most depth for each cost, 0 first."""
        return _ladder(self, stream.width, gauge_depth(stream))

    def at_least(self, stream: End, beats: int) -> Rung:
        """Return the cheapest rung that holds `beats`; the deepest one where none does."""
        ladder = self.ladder(stream)
        return next((rung for rung in ladder if rung.depth >= beats), ladder[-1])

    def price(self, width: int, depth: int, ram_style: str) -> float:
        """Return the cost of a FIFO in LUTs."""
        stream = {"folded_shape": [1, 1, width], "normal_shape": [1, width], "dataType": "BINARY"}
        node = helper.make_node(FIFO, ["in"], ["out"], domain=_RTL_DOMAIN, depth=depth, ram_style=ram_style, **stream)
        cost = getCustomOp(node).get_fifo_cost(self.part)
        return float(cost.lut + self.luts_per_bram18 * cost.bram)


@cache
def _ladder(prices: Prices, width: int, deepest: int) -> tuple[Rung, ...]:
    powers = [2**exponent for exponent in range(6, deepest.bit_length() + 1)]
    # one beat more than the memory: the output register
    depths = [5, 17, _SHALLOW, *sorted({size + 1 for power in powers for size in (power, power + power // 2)})]
    rungs = [Rung(0, "auto", 0.0)]
    for depth in depths:
        styles = ("auto",) if depth <= _SHALLOW else ("distributed", "block")
        choices = (Rung(depth, style, prices.price(width, depth, style)) for style in styles)
        best = min(choices, key=lambda rung: rung.luts)
        if len(rungs) > 1 and best.luts <= rungs[-1].luts:
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
    """Put a FIFO of ``depths[tensor]`` beats (2 or more) on each tensor named; the model is not changed."""
    result = ModelWrapper(model.model, make_deepcopy=True)
    graph = result.graph
    known = {edge.tensor: edge for edge in edges(result)}
    for number, (tensor, depth) in enumerate(depths.items()):
        edge = known[tensor]
        style = prices.at_least(edge.stream, depth).ram_style if depth > _SHALLOW else "auto"
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
        domain=_RTL_DOMAIN,
        backend="fpgadataflow",
        depth=depth,
        folded_shape=list(stream.folded_shape),
        normal_shape=list(stream.shape),
        dataType=stream.datatype,
        ram_style=ram_style,
    )
