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
from hw.ops.operator import Operator, Settings
from hw.ops.registry import describe
from hw.transforms.specialise import specialise

Folding = Mapping[str, Mapping[str, int]]
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
        streams = sum(model.get_initializer(name) is None for name in node.input)
        choices = _choices(node, view[node.name], folding.get(node.name, {}))
        options = [option for choice in choices for option in _evaluate(node, view[node.name], part, choice, streams)]
        site = by_output.get(node.input[0])
        if site is not None and view[site.members[-1].name].interleaves():
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


def _specialised_view(model: Any, part: str) -> dict[str, Operator]:
    """Operators that can tell cycles and widths, by the node's name: generic nodes cannot tell all."""
    done = all(is_rtl_node(node) for node in model.graph.node)
    specialised = model if done else specialise(model, part)
    # Specialisation renames nodes but no tensors.
    by_output = {node.output[0]: node for node in specialised.graph.node}
    return {node.name: describe(getHWCustomOp(by_output[node.output[0]])) for node in model.graph.node}


def _choices(node: NodeProto, op: Operator, wanted: Mapping[str, int]) -> list[dict[str, int]]:
    """The foldings of a node that have what is ``wanted``."""
    choices = op.folds()
    known = {name for choice in choices for name in choice}
    for name, value in wanted.items():
        values = sorted({choice[name] for choice in choices if name in choice})
        if name not in known:
            raise FoldingError(
                f"{node.name} ({node.op_type}) has no {name}; it has {', '.join(sorted(known)) or 'none'}"
            )
        if value not in values:
            raise FoldingError(f"{node.name} ({node.op_type}): {name} = {value} does not divide; it can be {values}")
    return [choice for choice in choices if all(choice.get(name) == value for name, value in wanted.items())]


def _evaluate(node: NodeProto, op: Operator, part: str, choice: dict[str, int], streams: int) -> Iterator[Option]:
    """The folding ``choice`` with its constants and buffers in each of the memories that there are."""
    for name, value in choice.items():
        op.set_nodeattr(name, value)
    cycles = int(op.get_exp_cycles())
    inputs = tuple(int(op.get_folded_input_shape(slot)[-1]) for slot in range(streams))
    outputs = tuple(int(op.get_folded_output_shape(port)[-1]) for port in range(len(node.output)))
    attributes = choice if is_rtl_node(node) else op.on_generic(choice)
    for memory in op.memories:
        for name, setting in memory.items():
            op.set_nodeattr(name, setting)
        yield Option({**attributes, **memory}, cycles, op.cost(part), inputs, outputs)
