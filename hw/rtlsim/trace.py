# SPDX-License-Identifier: Apache-2.0
"""Looks into a design that is wrong or stands still: which node is the first to blame, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.compare import Difference, Tensors, first_difference, save
from hw.design.design import Design, Edge
from hw.design.top import whole
from hw.rtlsim.whole import open_design, run_frames
from hw.streams.sim import ProtocolError, RunResult, StallError

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
    design: Design,
    frames: Array,
    expected: Sequence[Tensors],
    report: Path,
    **disturbed: Any,
) -> Finding | None:
    """Run frames again with every stream in view, and walk back to the first node that is wrong.

    Args:
        design: that went wrong.
        frames: the images, channels last, as for ``simulate``.
        expected: every tensor of each image, from another engine, by name.
        report: where a difference's two tensors are written.
        disturbed: as the run that went wrong was, see ``run_frames``.

    Returns:
        The first node that differs, else the first that stands still; None where all is as expected.
    """
    taps = {f"tap_{index}": edge for index, edge in enumerate(design.inner)}
    edges = taps | {"m_axis_0": design.outputs[0]}
    counts = {name: len(frames) * edge.stream.beats for name, edge in taps.items()}
    stalled = None
    with open_design(design, whole(design, taps=True)) as simulation:
        try:
            result = run_frames(simulation, design, frames, taps=counts, **disturbed)
        except StallError as error:
            result, stalled = error.partial, error
        except ProtocolError as error:
            edge = edges.get(str(error).partition(":")[0], design.inputs[0])
            return Finding(edge.stream.node, f"{edge.stream.node}: {error} ({edge})")
    got = {edge.tensor: _frames(result, name, edge) for name, edge in edges.items()}
    for number, reference in enumerate(expected):
        # What did not come is for the search for a node that stands still.
        known = {
            tensor: _filled(values[number], reference[tensor]) for tensor, values in got.items() if tensor in reference
        }
        found = first_difference(design.written(), reference, known, number)
        if found is not None:
            save(found, reference, known, report)
            return Finding(found.node, str(found), found)
    return None if stalled is None else _standstill(design, edges, stalled)


def _frames(result: RunResult, name: str, edge: Edge) -> Array:
    """Return each frame's tensor as it came, NaN where it did not."""
    values = edge.stream.unpack(result.outputs[name]).astype(np.float64)
    beats = values.reshape(-1, edge.stream.folded_shape[-1])
    beats[result.out_cycles[name] < 0] = np.nan
    return beats.reshape(values.shape)


def _filled(values: Array, reference: Array) -> Array:
    values = values.reshape(reference.shape)
    filled: Array = np.where(np.isnan(values), reference, values)
    return filled


def _standstill(design: Design, edges: Mapping[str, Edge], error: StallError) -> Finding:
    """Return the join that waits for one input while another is full; else the first node that kept something."""
    seen = {edge.tensor: (edge, error.streams[name]) for name, edge in edges.items()}
    for node in design.nodes:
        inputs = [seen[name] for name in node.inputs if name in seen]
        full = [edge for edge, progress in inputs if progress.valid and not progress.ready]
        starved = [edge for edge, progress in inputs if not progress.valid]
        if full and starved:
            return Finding(
                node.name, f"{node.name} waits for {starved[0]} while {full[0]} is full: too short a FIFO there"
            )
    for node in design.nodes:
        read = [seen[name][1] for name in node.inputs if name in seen]
        short = [seen[name][1] for name in node.outputs if seen[name][1].done < seen[name][1].expected]
        if short and all(p.done >= p.expected for p in read):
            return Finding(node.name, f"{node.name} ({node.op}) took all its input and gave {short[0]}")
    return Finding("", f"no node stands out: {error}")
