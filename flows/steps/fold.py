# SPDX-License-Identifier: Apache-2.0
"""Choose PE and SIMD of every node for the target frame rate within the board's resources."""

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import StepResult


def run(context: Context) -> StepResult:
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
    return StepResult(warning=None if result.met else result.message)


STEP = Step("fold", run, options=("target_fps", "share", "folding"), needs=("convert",))
