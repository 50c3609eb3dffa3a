# SPDX-License-Identifier: Apache-2.0
"""Looks into a stitched design that is wrong or stands still: which node is the first to blame, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper

from hw.compare import Difference, Tensors, first_difference, save
from hw.rtlsim.compile import build
from hw.rtlsim.packing import pack, unpack
from hw.rtlsim.sim import Beats, Progress, ProtocolError, RunResult, Simulation, StallError
from hw.rtlsim.stitch import Edge, StitchedDesign, stitch
from hw.rtlsim.stitched import IDLE_LIMIT, begin

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """What is wrong first: the node, what to say about it and, for a wrong value, where it is."""

    node: str
    message: str
    difference: Difference | None = None

    def __str__(self) -> str:
        return self.message


def explain(
    model: ModelWrapper,
    frames: Array,
    expected: Sequence[Tensors],
    folder: Path,
    report: Path,
    **stalls: Any,
) -> Finding | None:
    """Run frames again with every stream in view, and walk back to the first node that is wrong.

    Args:
        model: what was stitched: nodes with generated HDL.
        frames: the images, channels last, as for ``simulate``.
        expected: every tensor of each image, from another engine, by name.
        folder: for the design with taps.
        report: where a difference's two tensors are written.
        stalls: ``stall_in``, ``stall_out``, ``seed``, ``interrupt`` and ``idle_limit`` of the run that went wrong.

    Returns:
        The first node that differs, else the first that stands still; None where all is as expected.
    """
    design = stitch(model, folder, taps=True)
    edges = {f"tap_{index}": edge for index, edge in enumerate(design.taps)} | {"m_axis_0": design.outputs[0]}
    try:
        result, stalled = _run(design, frames, edges, **stalls)
    except ProtocolError as error:
        name = str(error).partition(":")[0]
        edge = edges.get(name, design.inputs[0])
        return Finding(edge.stream.node, f"{edge.stream.node}: {error} ({edge})")
    for number, reference in enumerate(expected):
        got = {edge.tensor: _tensor(result, name, edge, number, len(expected)) for name, edge in edges.items()}
        # What did not come is for the search for a node that stands still.
        known = {tensor: _filled(values, reference[tensor]) for tensor, values in got.items() if tensor in reference}
        found = first_difference(model, reference, known, number)
        if found is not None:
            save(found, reference, known, report)
            return Finding(found.node, str(found), found)
    return None if stalled is None else _standstill(model, edges, stalled)


def _run(
    design: StitchedDesign, frames: Array, edges: Mapping[str, Edge], *, interrupt: bool = False, **stalls: Any
) -> tuple[RunResult, StallError | None]:
    source = design.inputs[0].stream
    beats: Beats = pack(frames.reshape(-1, source.folded_shape[-1]), source.datatype, source.width)
    counts = {name: len(frames) * edge.stream.beats for name, edge in edges.items()}
    outputs = {"m_axis_0": counts.pop("m_axis_0")}
    with Simulation(build(design.top, design.sources)) as simulation:
        simulation.reset(offer=True)
        if interrupt:
            begin(simulation, {"s_axis_0": beats[: source.beats]})
        try:
            return simulation.run(
                {"s_axis_0": beats}, outputs, taps=counts, **{"idle_limit": IDLE_LIMIT, **stalls}
            ), None
        except StallError as error:
            return error.partial, error


def _tensor(result: RunResult, name: str, edge: Edge, number: int, frames: int) -> Array:
    """A frame's tensor as it came, NaN where it did not."""
    stream = edge.stream
    values = unpack(result.outputs[name], stream.datatype, stream.folded_shape[-1]).astype(np.float64)
    values = values.reshape(frames * stream.beats, -1)
    values[result.out_cycles[name] < 0] = np.nan
    tensor: Array = values.reshape(frames, *stream.shape)[number]
    return tensor


def _filled(values: Array, reference: Array) -> Array:
    values = values.reshape(reference.shape)
    filled: Array = np.where(np.isnan(values), reference, values)
    return filled


def _standstill(model: ModelWrapper, edges: Mapping[str, Edge], error: StallError) -> Finding:
    """The join that waits for one input while another is full; else the first node that kept something back."""
    ends: dict[str, list[tuple[Edge, Progress]]] = {}
    for name, edge in edges.items():
        if edge.sink is not None:
            ends.setdefault(edge.sink.node, []).append((edge, error.streams[name]))
    for node, inputs in ends.items():
        full = [edge for edge, progress in inputs if progress.valid and not progress.ready]
        starved = [edge for edge, progress in inputs if not progress.valid]
        if full and starved:
            return Finding(node, f"{node} waits for {starved[0]} while {full[0]} is full: too short a FIFO there")
    done = {edge.tensor: error.streams[name] for name, edge in edges.items()}
    for node in model.graph.node:
        written = [done[name] for name in node.output if name in done]
        read = [done[name] for name in node.input if name in done]
        short = [p for p in written if p.done < p.expected]
        if short and all(p.done >= p.expected for p in read):
            return Finding(node.name, f"{node.name} ({node.op_type}) took all its input and gave {short[0]}")
    return Finding("", f"no node stands out: {error}")
