# SPDX-License-Identifier: Apache-2.0
"""Each node's RTL against its Python execution, on its own: which node differs, where and by what.

The modules of a design stand side by side in one compiled simulation, unconnected, and all work at the same time.
A module that several nodes are instances of takes their frames one after the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.compare import Difference, Tensors, difference
from hw.design.design import Design, DesignNode, End
from hw.design.errors import DesignError
from hw.design.top import side_by_side
from hw.rtlsim import stress
from hw.rtlsim.whole import open_design
from hw.streams.packing import PackingError
from hw.streams.sim import Beats, RunResult

IDLE_LIMIT = 10_000
"""Cycles in which no node takes or gives anything, after which those that should stand still."""


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one node: `difference` is the first of its outputs that is wrong, `got` what came there.

    `cycles` are those from the node's first frame, or the end of the one before, to its last output beat.
    """

    node: str
    op: str
    cycles: int
    expected_cycles: int
    difference: Difference | None = None
    got: npt.NDArray[Any] | None = None


def check_nodes(
    design: Design, tensors: Tensors, *, optimise: str = "-O1", cache_dir: Path | None = None
) -> list[NodeResult]:
    """Simulate every node of a design on the tensors of one image; a difference is a result, not an error.

    Where all are right, each is broken off by a reset in the middle of a frame and then run under random stalls.

    Args:
        design: that lies in its folder.
        tensors: every tensor of the design by name, from its Python execution.
        optimise: of the compiler.
        cache_dir: in place of the cache's folder.

    Raises:
        DesignError: a node whose input's type does not hold a value that comes to it.
        CompileError: a module that does not compile, named in the message.
        StallError, ProtocolError, StressError: streams that stand still, break the handshake, or bear no stalls; they
            are named MODULE_INTERFACE.
    """
    parts: dict[str, list[Beats]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for node in design.nodes:
        takes, gives = design.ends(node.name)
        for tensor, end in takes:
            parts[_name(node, end)].append(_packed(node, tensor, end, tensors))
        counts.update({_name(node, end): end.beats for _, end in gives})
    inputs = {name: np.concatenate(beats) for name, beats in parts.items()}
    with open_design(design, side_by_side(design), optimise=optimise, cache_dir=cache_dir) as simulation:
        simulation.reset(offer=True)
        run = simulation.run(inputs, counts, idle_limit=IDLE_LIMIT)
        start = dict.fromkeys(counts, 0)
        results = [_result(design, node, start, tensors, run) for node in design.nodes]
        if not any(result.difference for result in results):
            # what came, not what is packed anew: FINN's products fill the bits that pad a beat with their sign
            stress.check(simulation, inputs, run.outputs)
    return results


def _name(node: DesignNode, end: End) -> str:
    """Return what the stream of a node's module is called side by side."""
    return f"{node.module}_{end.interface}"


def _packed(node: DesignNode, tensor: str, end: End, tensors: Tensors) -> Beats:
    try:
        return end.pack(tensors[tensor])
    except PackingError as error:
        raise DesignError(f"{node.name} ({node.op}) cannot take {tensor}: {error}") from error


def _result(design: Design, node: DesignNode, start: dict[str, int], tensors: Tensors, run: RunResult) -> NodeResult:
    """Compare what a node gave, from the beats `start` of its module's streams on, which move to the next node's."""
    found, got, cycles = None, None, 0
    for tensor, end in design.ends(node.name)[1]:
        name = _name(node, end)
        here = slice(start[name], start[name] + end.beats)
        start[name] = here.stop
        times = run.out_cycles[name]
        cycles = max(cycles, int(times[here.stop - 1]) - (int(times[here.start - 1]) if here.start else -1))
        reference = tensors[tensor]
        values = end.unpack(run.outputs[name][here]).reshape(reference.shape)
        wrong = difference(reference, values, node=node.name, op=node.op, tensor=tensor)
        if found is None and wrong is not None:
            found, got = wrong, values
    return NodeResult(node.name, node.op, cycles, node.cycles, found, got)
