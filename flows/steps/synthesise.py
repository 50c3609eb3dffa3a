# SPDX-License-Identifier: Apache-2.0
"""LUT, FF, BRAM and DSP of every node and of the whole design by Yosys, against what the board has."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError, UserError
from flows.pipeline import Context, Step

COUNTED = ("lut", "ff", "bram36", "dsp")


def run(context: Context) -> dict[str, Any]:
    """Synthesise; a design that does not fit fails the build with the table, unless it is allowed to."""
    from hw import finn_env
    from hw.synth.design import synthesise_design
    from hw.synth.yosys import SynthesisError

    finn_env.setup(context.folder / "finn")
    model = ModelWrapper(str(context.path("stitch", "model.onnx")))
    try:
        found = synthesise_design(
            model,
            context.board.family,
            context.folder / "nodes",
            workers=context.config.workers,
            progress=lambda done, total: context.status(f"{done}/{total} nodes"),
        )
    except SynthesisError as error:
        raise ToolError(str(error), error.log or context.log) from error
    total = {name: getattr(found.total, name) for name in COUNTED}
    available = {name: getattr(context.board.resources, name) for name in COUNTED}
    excess = [f"{total[n]} {n.upper()} of {available[n]}" for n in COUNTED if total[n] > available[n]]
    if excess and not context.config.allow_overfit:
        raise UserError(
            f"the design does not fit {context.board.name}: {', '.join(excess)}",
            "lower --target-fps, choose a larger --board, or report it all the same with --allow-overfit",
        )
    nodes = {name: asdict(resources) for name, resources in found.nodes.items()}
    return {"resources": {"tool": found.tool, **total, "available": available, "fits": not excess}, "nodes": nodes}


STEP = Step("synthesise", run, options=("allow_overfit",), needs=("stitch",))
