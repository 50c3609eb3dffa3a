# SPDX-License-Identifier: Apache-2.0
"""Every folding that each node of a graph allows, with its cycles, cost and stream widths."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto

from hw.ops.cost import Cost
from hw.ops.operator import Folding, Operator, Settings
from hw.ops.registry import describe
from hw.transforms.specialise import specialise

Wanted = Mapping[str, Settings]
"""Node name -> attribute -> value, e.g. {"MVAU_0": {"PE": 8, "SIMD": 3, "ram_style": "block"}}."""


class FoldingError(ValueError):
    """A folding that was asked for is impossible."""


@dataclass(frozen=True)
class Option:
    """One folding of one node: what it takes, and the elements a beat of each of its streams.

    `attributes` are for the node of the graph that is folded, `wanted` says the same in the RTL node's words.
    """

    attributes: Settings
    wanted: Settings
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


def analyse(model: Any, part: str, folding: Wanted) -> tuple[list[Site], list[Edge], dict[str, str]]:
    """The sites and streams of a graph, and what its nodes will be called as RTL nodes.

    Args:
        model: hardware nodes with unique names.
        part: FPGA part.
        folding: attributes that the user wants for some nodes, by their names now or as RTL nodes; only options with
            these are returned.

    Raises:
        FoldingError: ``folding`` names what is not there, or does not divide.
    """
    view = _specialised_view(model, part)
    rtl_names = {name: op.onnx_node.name for name, op in view.items()}
    folding = _by_node(rtl_names, folding)
    sites: list[Site] = []
    edges: list[Edge] = []
    writers: dict[str, tuple[str, int]] = {}
    for node in model.graph.node:
        op, streams = view[node.name], sum(model.get_initializer(name) is None for name in node.input)
        title = " as ".join(dict.fromkeys((node.name, rtl_names[node.name])))
        chosen = _foldings(title, op, folding.get(node.name, {}))
        options = [_evaluate(node, op, part, *pair, streams=streams) for pair in chosen]
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
    return sites, edges, rtl_names


def _join(site: Site, generator: str, name: str, options: list[Option]) -> None:
    """Add a node to the site of the depthwise window generator that feeds it."""
    pairs = itertools.product(site, options)
    site[:] = [{**choice, name: option} for choice, option in pairs if choice[generator].outputs[0] == option.inputs[0]]
    if not site:
        raise FoldingError(f"{generator} and {name} can only be folded alike")


def _by_node(rtl_names: Mapping[str, str], folding: Wanted) -> Wanted:
    """``folding`` by the names of the graph's nodes."""
    known = {name: name for name in rtl_names} | {called: name for name, called in rtl_names.items()}
    found: dict[str, Settings] = {}
    for name, settings in folding.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise FoldingError(f"there is no node {name} to fold{hint}")
        if known[name] in found:
            raise FoldingError(f"{known[name]} and {rtl_names[known[name]]} are one node: fold it once")
        found[known[name]] = settings
    return found


def _specialised_view(model: Any, part: str) -> dict[str, Operator]:
    """Operators that can tell cycles and widths, by the node's name: generic nodes cannot tell all."""
    done = all(is_rtl_node(node) for node in model.graph.node)
    specialised = model if done else specialise(model, part)
    # Specialisation renames nodes but no tensors.
    by_output = {node.output[0]: node for node in specialised.graph.node}
    return {node.name: describe(getHWCustomOp(by_output[node.output[0]])) for node in model.graph.node}


def _foldings(title: str, op: Operator, wanted: Settings) -> list[tuple[Folding, Settings]]:
    """Pairs of a folding of a node and the memories of its constants and buffers that have what is ``wanted``."""
    found = list(itertools.product(op.folds(), op.memories))
    for attribute, value in wanted.items():
        settings = [{**folding, **memory} for folding, memory in found]
        if attribute not in settings[0]:
            raise FoldingError(f"{title} has no {attribute}; it has {', '.join(sorted(settings[0])) or 'none'}")
        found = [pair for pair, chosen in zip(found, settings, strict=True) if chosen[attribute] == value]
        if not found:
            values = sorted({chosen[attribute] for chosen in settings}, key=lambda each: (isinstance(each, str), each))
            problem = "is none of its settings" if isinstance(values[0], str) else "does not divide"
            raise FoldingError(f"{title}: {attribute} = {value} {problem}; it can be {values}")
    return found


def _evaluate(node: NodeProto, op: Operator, part: str, folding: Folding, memory: Settings, *, streams: int) -> Option:
    """A folding, with constants and buffers in these memories."""
    settings: Settings = {**folding, **memory}
    for name, value in settings.items():
        op.set_nodeattr(name, value)
    attributes: Settings = settings if is_rtl_node(node) else {**op.on_generic(folding), **memory}
    return Option(
        attributes=attributes,
        wanted=settings,
        cycles=int(op.get_exp_cycles()),
        cost=op.cost(part),
        inputs=tuple(int(op.get_folded_input_shape(slot)[-1]) for slot in range(streams)),
        outputs=tuple(int(op.get_folded_output_shape(port)[-1]) for port in range(len(node.output))),
    )
