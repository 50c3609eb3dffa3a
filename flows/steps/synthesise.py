# SPDX-License-Identifier: Apache-2.0
"""LUT, FF, BRAM and DSP of every node and of the whole design by Yosys, against what the board has."""

from __future__ import annotations

from pydantic import Field

from flows.errors import ToolError, UserError
from flows.pipeline import Context, Step
from flows.report.summary import NodeResources, ResourceUse, StepResult

COUNTED = ("lut", "ff", "bram36", "dsp")


class Synthesised(StepResult):
    """What the design and each node take."""

    resources: ResourceUse | None = None
    nodes: dict[str, NodeResources] = Field(default_factory=dict)


def run(context: Context) -> Synthesised:
    """Synthesise; a design that does not fit fails the build with the table, unless it is allowed to."""
    from hw.design.design import Design
    from hw.synth.design import synthesise_design
    from hw.synth.resources import Resources
    from hw.synth.yosys import SynthesisError, tool

    try:
        nodes = synthesise_design(
            Design.load(context.path("design", "design")),
            context.board.family,
            workers=context.config.workers,
            progress=lambda done, total: context.status(f"{done}/{total} modules"),
        )
    except SynthesisError as error:
        raise ToolError(str(error), error.log or context.log) from error
    total = Resources.total(nodes.values())
    available = {name: getattr(context.board.resources, name) for name in COUNTED}
    excess = [f"{taken} {name.upper()} of {limit}" for name, (taken, limit) in total.exceeding(available).items()]
    if excess and not context.config.allow_overfit:
        raise UserError(
            f"the design does not fit {context.board.name}: {', '.join(excess)}",
            "lower --target-fps, choose a larger --board, or report it all the same with --allow-overfit",
        )
    use = {"tool": tool(), **NodeResources.of(total).model_dump(), "available": available, "fits": not excess}
    return Synthesised(
        resources=ResourceUse.model_validate(use),
        nodes={name: NodeResources.of(resources) for name, resources in nodes.items()},
    )


STEP = Step("synthesise", run, Synthesised, options=("allow_overfit",), needs=("design",))
