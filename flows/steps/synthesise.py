# SPDX-License-Identifier: Apache-2.0
"""LUT, FF, BRAM and DSP of every node and of the whole design by Yosys, against what the board has."""

from __future__ import annotations

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import COUNTED, Device, NodeResources, ResourceUse, StepResult


class Synthesised(StepResult):
    """What the design and each node take."""

    resources: ResourceUse
    nodes: dict[str, NodeResources]


def run(context: Context) -> Synthesised:
    """Synthesise; a design that does not fit fails the build with the table, unless it is allowed to."""
    from hw.design.design import Design
    from hw.synth.design import synthesise_design
    from hw.synth.resources import Resources
    from hw.synth.yosys import tool

    nodes = synthesise_design(
        Design.load(context.path("design", "design")),
        context.board.family,
        workers=context.config.workers,
        progress=lambda done, total: context.status(f"{done}/{total} modules"),
    )
    total = Resources.total(nodes.values())
    board = context.board
    excess = [f"{taken} {name.upper()} of {limit}" for name, (taken, limit) in total.exceeding(board.left).items()]
    if excess and not context.config.allow_overfit:
        raise UserError(
            f"the design does not fit {board.name}: {', '.join(excess)} that its shell and DMAs leave",
            "lower --target-fps, choose a larger --board, or report it all the same with --allow-overfit",
        )
    used = {name: getattr(total, name) for name in COUNTED}
    return Synthesised(
        resources=ResourceUse(
            tool=tool(),
            **used,
            available=Device.model_validate(board.resources, from_attributes=True),
            kept=Device.model_validate(board.allowance, from_attributes=True),
            fits=not excess,
        ),
        nodes={name: NodeResources.model_validate(used, from_attributes=True) for name, used in nodes.items()},
    )


STEP = Step("synthesise", run, Synthesised, options=("allow_overfit",), needs=("design",))
