# SPDX-License-Identifier: Apache-2.0
"""Choose PE and SIMD of every node for the target frame rate within the board's resources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import Expected, Faster, Folding, StepResult

if TYPE_CHECKING:
    from hw.ops.cost import Cost
    from hw.transforms.fold import FoldResult


class Folded(StepResult):
    """What the folding aimed at and expects; `nodes` is what it chose, by the names that the nodes have as RTL."""

    folding: Folding
    nodes: dict[str, dict[str, int | str]]


def run(context: Context) -> Folded:
    """Fold; a target that cannot be met is reported, and the best that fits is taken."""
    from hw.transforms.fold import Budget, FoldingError, fold

    config, board = context.config, context.board
    left = board.left
    budget = Budget(lut=int(left["lut"] * config.share), bram36=left["bram36"], dsp=left["dsp"])
    target = context.target_cycles()
    try:
        result = fold(
            context.model("convert"), target_cycles=target, budget=budget, part=board.part, folding=config.folding
        )
    except FoldingError as error:
        raise UserError(str(error)) from error
    context.save(result.model)
    print(result.message)  # to the step's log
    return Folded(
        warning=None if result.met else result.message,
        folding=_folding(result, target, context.clock_mhz * 1e6),
        nodes=result.folding,
    )


def _folding(result: FoldResult, target: int | None, hertz: float) -> Folding:
    faster = (
        Faster(
            cycles=step.cycles,
            fps=round(hertz / step.cycles, 1),
            nodes=tuple(result.rtl_names[name] for name in step.nodes),
            expected=_expected(step.cost),
            more_lut=round(step.more.lut),
            fits=step.fits,
        )
        for step in result.faster
    )
    return Folding(
        target_cycles=target,
        cycles=result.cycles[result.bottleneck],
        bottleneck=result.rtl_names[result.bottleneck],
        binds=result.binds,
        expected=_expected(result.cost),
        faster=tuple(faster),
    )


def _expected(cost: Cost) -> Expected:
    return Expected(lut=round(cost.lut), bram36=math.ceil(cost.bram36), dsp=math.ceil(cost.dsp))


STEP = Step("fold", run, Folded, options=("target_fps", "share", "folding"), needs=("convert",))
