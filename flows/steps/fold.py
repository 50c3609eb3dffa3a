# SPDX-License-Identifier: Apache-2.0
"""Choose PE and SIMD of every node for the target frame rate within the board's resources."""

from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import UserError
from flows.pipeline import Context, Step


def run(context: Context) -> dict[str, Any]:
    """Fold; a target that cannot be met is reported, and the best that fits is taken."""
    from hw.transforms.fold import Budget, FoldingError, fold

    config, board = context.config, context.board
    target = context.target_cycles()
    budget = Budget(lut=int(board.resources.lut * config.share), bram36=board.resources.bram36, dsp=board.resources.dsp)
    model = ModelWrapper(str(context.path("convert", "model.onnx")))
    try:
        result = fold(model, target_cycles=target, budget=budget, part=board.part, folding=config.folding)
    except FoldingError as error:
        raise UserError(str(error)) from error
    result.model.save(str(context.folder / "model.onnx"))
    return {
        "message": result.message,
        "warning": None if result.met else result.message,
        "bottleneck": result.bottleneck,
        "cycles": result.cycles,
    }


STEP = Step("fold", run, options=("target_fps", "share", "folding"), needs=("convert",))
