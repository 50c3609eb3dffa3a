# SPDX-License-Identifier: Apache-2.0
"""Every folding that each node of a graph allows, with its cycles, cost and stream widths."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto

from hw.transforms.costs import Cost, node_cost
from hw.transforms.specialise import specialise

Folding = Mapping[str, Mapping[str, int]]
"""Node name -> attribute -> value, e.g. {"MVAU_0": {"PE": 8, "SIMD": 3}}."""
Attributes = dict[str, int | str]

BLOCK_FROM_DEPTH = 65
"""Threshold memories deeper than one LUT RAM go to block RAM where that is cheaper."""


class FoldingError(ValueError):
    """A folding that was asked for is impossible."""


@dataclass(frozen=True)
class Option:
    """One folding of one node: what it takes, and the elements a beat of each of its streams."""

    attributes: Attributes
    cycles: int
    cost: Cost
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass
class Site:
    """A node, or nodes that can only be folded alike, with the foldings there are: one Option a member."""

    members: list[NodeProto]
    options: list[tuple[Option, ...]]

    def fastest(self) -> int:
        """Cycles of the fastest folding."""
        return min(slowest(options) for options in self.options)


@dataclass(frozen=True)
class Edge:
    """A stream from output ``port`` of one node to input ``slot`` of another; ``bits`` an element."""

    producer: str
    port: int
    consumer: str
    slot: int
    bits: int


def slowest(options: tuple[Option, ...]) -> int:
    """Cycles of the slowest member of a site."""
    return max(option.cycles for option in options)


def analyse(model: Any, part: str, folding: Folding) -> tuple[list[Site], list[Edge]]:
    """The sites and streams of a graph.

    Args:
        model: hardware nodes with unique names.
        part: FPGA part.
        folding: attributes that the user wants for some nodes; only options with these are returned.

    Raises:
        FoldingError: ``folding`` names what is not there, or does not divide.
    """
    _check_names(model, folding)
    view = _specialised_view(model, part)
    sites: list[Site] = []
    by_output: dict[str, Site] = {}
    edges = []
    for node in model.graph.node:
        options = list(_options(node, view[node.name], part, folding.get(node.name, {})))
        site = by_output.get(node.input[0])
        if site is not None and _is_depthwise_window(view[site.members[-1].name]):
            _join(site, node, options)
        else:
            site = Site([node], [(option,) for option in options])
            sites.append(site)
        for slot, name in enumerate(node.input):
            if name in by_output:
                source = next(n for n in by_output[name].members if name in n.output)
                port = list(source.output).index(name)
                bits = int(view[source.name].get_output_datatype(port).bitwidth())
                edges.append(Edge(source.name, port, node.name, slot, bits))
        by_output.update((name, site) for name in node.output)
    return sites, edges


def _join(site: Site, node: NodeProto, options: list[Option]) -> None:
    """Add ``node`` to the site of the depthwise window generator that feeds it."""
    pairs = itertools.product(site.options, options)
    site.options = [(*a, b) for a, b in pairs if a[-1].outputs[0] == b.inputs[0]]
    if not site.options:
        raise FoldingError(f"{site.members[-1].name} and {node.name} can only be folded alike")
    site.members.append(node)


def _check_names(model: Any, folding: Folding) -> None:
    names = [node.name for node in model.graph.node]
    for name in folding:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise FoldingError(f"there is no node {name} to fold{hint}")


def _specialised_view(model: Any, part: str) -> dict[str, Any]:
    """Operator instances that can tell cycles and widths, by the node's name: generic nodes cannot tell all."""
    done = all(is_rtl_node(node) for node in model.graph.node)
    specialised = model if done else specialise(model, part)
    # Specialisation renames nodes but no tensors.
    by_output = {node.output[0]: node for node in specialised.graph.node}
    return {node.name: getHWCustomOp(by_output[node.output[0]]) for node in model.graph.node}


def _is_depthwise_window(op: Any) -> bool:
    kind = op.onnx_node.op_type
    return bool(kind.startswith("ConvolutionInputGenerator") and op.get_nodeattr("depthwise"))


def _options(node: NodeProto, op: Any, part: str, wanted: Mapping[str, int]) -> Iterator[Option]:
    choices = list(_choices(op))
    known = {name for choice in choices for name in choice}
    for name, value in wanted.items():
        values = sorted({choice[name] for choice in choices if name in choice})
        if name not in known:
            raise FoldingError(
                f"{node.name} ({node.op_type}) has no {name}; it has {', '.join(sorted(known)) or 'none'}"
            )
        if value not in values:
            raise FoldingError(f"{node.name} ({node.op_type}): {name} = {value} does not divide; it can be {values}")
    for choice in choices:
        if all(choice.get(name) == value for name, value in wanted.items()):
            yield from _evaluate(node, op, part, choice)


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _choices(op: Any) -> Iterator[dict[str, int]]:
    """Every PE, SIMD and window mode that the node's kind allows."""
    kind = op.onnx_node.op_type
    number = op.get_nodeattr
    if kind.startswith(("MVAU", "XnorMVAU")):
        widest = number("MW") if kind.startswith("XnorMVAU") else max(number("MW") // 2, 1)
        for pe, simd in itertools.product(_divisors(number("MH")), _divisors(number("MW"))):
            # FINN's unit has too short a queue for a result every cycle: back-pressure makes it lose some.
            if simd <= widest:
                yield {"PE": pe, "SIMD": simd}
    elif kind.startswith("ConvolutionInputGenerator"):
        channels = number("IFMChannels")
        yield from ({"SIMD": simd, "parallel_window": 0} for simd in _divisors(channels))
        if _has_parallel_window(op):
            yield {"SIMD": channels, "parallel_window": 1}
    elif kind.startswith("FMPadding"):
        yield from ({"SIMD": simd} for simd in _divisors(number("NumChannels")))
    elif kind.startswith("StreamingConcat"):
        yield from ({"SIMD": simd} for simd in _divisors(math.gcd(*number("ChannelsPerStream"))))
    elif kind == "ChannelPad_rtl":
        common = math.gcd(number("NumChannels"), number("OutputChannels"), number("Offset"))
        yield from ({"PE": pe} for pe in _divisors(common))
    elif kind.startswith("LabelSelect"):
        yield from ({"PE": pe} for pe in _divisors(number("Labels")))
    elif kind.startswith("Pool"):
        yield from ({"PE": pe} for pe in _divisors(number("Channels")))
    elif "PE" in op.get_nodeattr_types():
        yield from ({"PE": pe} for pe in _divisors(op.get_normal_input_shape()[-1]))
    else:
        yield {}


def _has_parallel_window(op: Any) -> bool:
    """Whether FINN's generator of whole windows works for a node.

    It keeps what lies between two rows of a window in a memory, which must have two words or more: with one word it
    gives wrong windows. And it counts the windows from two on.
    """
    height, width = op.get_nodeattr("ConvKernelDim")
    spread, columns = op.get_nodeattr("Dilation")[1], op.get_nodeattr("IFMDim")[1]
    between = columns * op.get_nodeattr("Dilation")[0] - ((width - 1) * spread + 1)
    windows = math.prod(op.get_nodeattr("OFMDim"))
    return not op.get_nodeattr("depthwise") and height * width > 1 and windows > 2 and (height == 1 or between > 1)


def _evaluate(node: NodeProto, op: Any, part: str, choice: dict[str, int]) -> Iterator[Option]:
    """The folding ``choice`` with its constants and buffers in LUTs and, where it has any, in block RAM."""
    for name, value in choice.items():
        op.set_nodeattr(name, value)
    cycles = int(op.get_exp_cycles())
    streams = range(1 if len(node.input) > 1 and _has_constant(op) else len(node.input))
    inputs = tuple(int(op.get_folded_input_shape(slot)[-1]) for slot in streams)
    outputs = tuple(int(op.get_folded_output_shape(port)[-1]) for port in range(len(node.output)))
    attributes: Attributes = dict(choice)
    if node.op_type == "MVAU" and op.onnx_node.op_type == "ChannelPad_rtl":
        attributes = {"PE": choice["PE"], "SIMD": choice["PE"]}
    for block, memory in _memories(op):
        yield Option({**attributes, **memory}, cycles, node_cost(op, part, block=block), inputs, outputs)


def _has_constant(op: Any) -> bool:
    return str(op.onnx_node.op_type).startswith(("MVAU", "XnorMVAU", "Thresholding"))


def _memories(op: Any) -> Iterator[tuple[bool, Attributes]]:
    """(in block RAM?, attributes that say so) for the kinds of memory that a node may use."""
    kind = op.onnx_node.op_type
    if kind.startswith("Thresholding"):
        yield False, {"depth_trigger_bram": 0}
        yield True, {"depth_trigger_bram": BLOCK_FROM_DEPTH}
    elif kind.startswith(("MVAU", "XnorMVAU", "ConvolutionInputGenerator")):
        yield False, {"ram_style": "distributed"}
        yield True, {"ram_style": "block"}
    else:
        yield False, {}
