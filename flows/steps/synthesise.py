# SPDX-License-Identifier: Apache-2.0
"""LUT, FF, BRAM and DSP of every node and of the whole design by Yosys, against what the board has."""

from __future__ import annotations

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import NodeResources, ResourceUse, StepResult

COUNTED = ("lut", "ff", "bram36", "dsp")


class Synthesised(StepResult):
    """What the design and each node take."""

    resources: ResourceUse
    nodes: dict[str, NodeResources]


def run(context: Context) -> Synthesised:
    """Synthesise; a design that does not fit fails the build with the table, unless it is allowed to."""
    from hw.design.design import Design
    from hw.synth.design import synthesise_design

    found = synthesise_design(
        Design.load(context.path("design", "design")),
        context.board.family,
        workers=context.config.workers,
        progress=lambda done, total: context.status(f"{done}/{total} modules"),
    )
    available = {name: getattr(context.board.resources, name) for name in COUNTED}
    excess = [f"{taken} {name.upper()} of {limit}" for name, (taken, limit) in found.total.exceeding(available).items()]
    if excess and not context.config.allow_overfit:
        raise UserError(
            f"the design does not fit {context.board.name}: {', '.join(excess)}",
            "lower --target-fps, choose a larger --board, or report it all the same with --allow-overfit",
        )
    use = {"tool": found.tool, **NodeResources.of(found.total).model_dump(), "available": available, "fits": not excess}
    return Synthesised(
        resources=ResourceUse.model_validate(use),
        nodes={name: NodeResources.of(resources) for name, resources in found.nodes.items()},
    )


STEP = Step("synthesise", run, Synthesised, options=("allow_overfit",), needs=("design",))
