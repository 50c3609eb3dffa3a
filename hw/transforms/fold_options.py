# SPDX-License-Identifier: Apache-2.0
"""Every folding that each node of a graph allows, with its cycles, cost and stream widths."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto

from hw.ops.cost import Cost
from hw.ops.operator import Folding, Operator, Settings
from hw.ops.registry import describe
from hw.transforms.specialise import specialise

Wanted = Mapping[str, Folding]
"""Node name -> attribute -> value, e.g. {"MVAU_0": {"PE": 8, "SIMD": 3}}."""


class FoldingError(ValueError):
    """A folding that was asked for is impossible."""


@dataclass(frozen=True)
class Option:
    """One folding of one node: what it takes, and the elements a beat of each of its streams."""

    attributes: Settings
    cycles: int
    cost: Cost
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


Choice = dict[str, Option]
"""The folding of some nodes, by their names."""
Site = list[Choice]
"""The foldings that there are of one node, or of several that can only be folded alike."""


@dataclass(frozen=True)
class Edge:
    """A stream from output ``port`` of one node to input ``slot`` of another; ``bits`` an element."""

    producer: str
    port: int
    consumer: str
    slot: int
    bits: int


def slowest(choice: Choice) -> int:
    """Cycles of the slowest node."""
    return max(option.cycles for option in choice.values())


def analyse(model: Any, part: str, folding: Wanted) -> tuple[list[Site], list[Edge]]:
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
    edges: list[Edge] = []
    writers: dict[str, tuple[str, int]] = {}
    for node in model.graph.node:
        op, streams = view[node.name], sum(model.get_initializer(name) is None for name in node.input)
        foldings = _foldings(node, op, folding.get(node.name, {}))
        options = [option for chosen in foldings for option in _evaluate(node, op, part, chosen, streams)]
        for slot, name in enumerate(node.input):
            if name in writers:
                source, port = writers[name]
                bits = int(view[source].get_output_datatype(port).bitwidth())
                edges.append(Edge(source, port, node.name, slot, bits))
        first, _ = writers.get(node.input[0], ("", 0))
        if first and view[first].interleaves():
            _join(next(site for site in sites if first in site[0]), first, node.name, options)
        else:
            sites.append([{node.name: option} for option in options])
        writers |= {name: (node.name, port) for port, name in enumerate(node.output)}
    return sites, edges


def _join(site: Site, generator: str, name: str, options: list[Option]) -> None:
    """Add a node to the site of the depthwise window generator that feeds it."""
    pairs = itertools.product(site, options)
    site[:] = [{**choice, name: option} for choice, option in pairs if choice[generator].outputs[0] == option.inputs[0]]
    if not site:
        raise FoldingError(f"{generator} and {name} can only be folded alike")


def _check_names(model: Any, folding: Wanted) -> None:
    names = [node.name for node in model.graph.node]
    for name in folding:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise FoldingError(f"there is no node {name} to fold{hint}")


def _specialised_view(model: Any, part: str) -> dict[str, Operator]:
    """Operators that can tell cycles and widths, by the node's name: generic nodes cannot tell all."""
    done = all(is_rtl_node(node) for node in model.graph.node)
    specialised = model if done else specialise(model, part)
    # Specialisation renames nodes but no tensors.
    by_output = {node.output[0]: node for node in specialised.graph.node}
    return {node.name: describe(getHWCustomOp(by_output[node.output[0]])) for node in model.graph.node}


def _foldings(node: NodeProto, op: Operator, wanted: Folding) -> list[Folding]:
    """The foldings of a node that have what is ``wanted``."""
    foldings, title = op.folds(), f"{node.name} ({node.op_type})"
    for name, value in wanted.items():
        if name not in foldings[0]:
            raise FoldingError(f"{title} has no {name}; it has {', '.join(sorted(foldings[0])) or 'none'}")
        values = sorted({folding[name] for folding in foldings})
        foldings = [folding for folding in foldings if folding[name] == value]
        if not foldings:
            raise FoldingError(f"{title}: {name} = {value} does not divide; it can be {values}")
    return foldings


def _evaluate(node: NodeProto, op: Operator, part: str, folding: Folding, streams: int) -> Iterator[Option]:
    """A folding with its constants and buffers in each of the memories that there are."""
    for name, value in folding.items():
        op.set_nodeattr(name, value)
    cycles = int(op.get_exp_cycles())
    inputs = tuple(int(op.get_folded_input_shape(slot)[-1]) for slot in range(streams))
    outputs = tuple(int(op.get_folded_output_shape(port)[-1]) for port in range(len(node.output)))
    attributes = folding if is_rtl_node(node) else op.on_generic(folding)
    for memory in op.memories:
        for name, setting in memory.items():
            op.set_nodeattr(name, setting)
        yield Option({**attributes, **memory}, cycles, op.cost(part), inputs, outputs)
