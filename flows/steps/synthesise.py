# SPDX-License-Identifier: Apache-2.0
"""LUT, FF, BRAM and DSP of every node and of the whole design by Yosys, against what the board has; levels of logic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import COUNTED, Device, Levels, NodeResources, ResourceUse, StepResult

if TYPE_CHECKING:
    from hw.synth.design import NodeLevels
    from hw.synth.resources import Resources


class Synthesised(StepResult):
    """What the design and each node take, and how deep their logic is."""

    resources: ResourceUse
    levels: Levels | None = None
    nodes: dict[str, NodeResources]


def run(context: Context) -> Synthesised:
    """Synthesise; a design that does not fit fails the build with the table, unless it is allowed to."""
    from hw.design.design import Design
    from hw.synth.design import count_levels, synthesise_design
    from hw.synth.resources import Resources
    from hw.synth.yosys import tool

    design = Design.load(context.path("design", "design"))
    family, workers = context.board.family, context.config.workers
    nodes = synthesise_design(
        design, family, workers=workers, progress=lambda done, total: context.status(f"{done}/{total} modules")
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
    levels = count_levels(design, family, workers=workers)
    return Synthesised(
        resources=ResourceUse(
            tool=tool(),
            **used,
            available=Device.model_validate(board.resources, from_attributes=True),
            kept=Device.model_validate(board.allowance, from_attributes=True),
            fits=not excess,
        ),
        levels=_deepest(levels),
        nodes={name: _node(used, levels[name]) for name, used in nodes.items()},
    )


def _node(used: Resources, levels: NodeLevels) -> NodeResources:
    return NodeResources(
        **{name: getattr(used, name) for name in COUNTED},
        levels=levels.inside,
        levels_through=levels.through,
        levels_into=levels.into.levels if levels.into else None,
    )


def _deepest(nodes: Mapping[str, NodeLevels]) -> Levels | None:
    """The deepest paths of all; None where no register feeds another one."""
    from hw.synth.levels import LIMIT

    worst = max((node.into for node in nodes.values() if node.into), key=lambda path: path.levels, default=None)
    if worst is None:
        return None
    return Levels(
        limit=LIMIT,
        most=max(node.inside for node in nodes.values()),
        over=tuple(name for name, node in nodes.items() if node.inside > LIMIT),
        across=worst.levels,
        start=worst.start,
        end=worst.end,
    )


STEP = Step("synthesise", run, Synthesised, options=("allow_overfit",), needs=("design",))
