# SPDX-License-Identifier: Apache-2.0
"""Timing of the design placed and routed by nextpnr (`--route`), on a chip that stands in for the board's.

Nothing free places and routes for AMD's chips. An ECP5 is of another make, with smaller LUTs: what it reaches is good
for ranking designs and for finding the wires that hurt, and promises nothing for the board.
"""

from __future__ import annotations

from collections.abc import Mapping

from flows.pipeline import Context, Skipped, Step
from flows.report.summary import WORST, Routed, StepResult, TimedPath, Vivado
from hw.route import nextpnr

INSTALL = f"install {nextpnr.WHEEL} with: .venv/bin/uv pip install -e '.[route]', or {nextpnr.NATIVE} on PATH"


class Timing(StepResult):
    """What was reached, and the slack of the slowest path into each node, against the design's clock."""

    routed: Routed | None = None
    slacks: Mapping[str, float] = {}


def run(context: Context) -> Timing:
    """Place and route; a clock above what is reached is allowed, and said."""
    from hw.design.design import Design
    from hw.route.design import route_design

    if not context.config.route:
        raise Skipped("not routed: not asked for (--route)")
    program = nextpnr.command()
    if program is None:
        raise Skipped(f"not routed: there is no {nextpnr.NATIVE}; {INSTALL}")
    design = Design.load(context.path("design", "design"))
    found = route_design(
        design,
        program,
        clock_mhz=context.clock_mhz,
        seed=context.config.route_seed,
        workers=context.config.workers,
        progress=context.status,
    )
    layers = {node.name: node.layer for node in design.nodes}
    paths = [
        TimedPath(
            node=path.end[0],
            layer=layers.get(path.end[0], ""),
            start=".".join(filter(None, path.start)),
            end=".".join(filter(None, path.end)),
            slack_ns=round(context.clock_ns - path.delay_ns, 3),
            delay_ns=round(path.delay_ns, 3),
            logic_ns=path.logic_ns,
            routing_ns=path.routing_ns,
        )
        for path in found.paths
    ]
    routed = Routed(
        tool=found.tool,
        device=nextpnr.DEVICE,
        seed=context.config.route_seed,
        fmax_mhz=None if found.fmax_mhz is None else round(found.fmax_mhz, 2),
        parts=len(found.parts),
        left_out=found.left_out,
        paths=tuple(paths[:WORST]),
    )
    slow = found.fmax_mhz is not None and found.fmax_mhz < context.clock_mhz
    return Timing(
        routed=routed,
        slacks={path.node: path.slack_ns for path in paths if path.node},
        warning=in_words(routed, None, context.clock_mhz) if slow else None,
    )


def in_words(routed: Routed | None, vivado: Vivado | None, clock_mhz: float) -> str:
    """What is known of the clock."""
    known = []
    if vivado is not None and vivado.met is not None:
        known.append(f"{vivado.tool or 'Vivado'}: {clock_mhz:g} MHz {'met' if vivado.met else 'not met'}")
    if routed is not None and routed.fmax_mhz is not None:
        than = "less than" if routed.fmax_mhz < clock_mhz else "enough for"
        known.append(
            f"a stand-in of another make ({routed.device}) reached {routed.fmax_mhz:.1f} MHz, {than} the clock of "
            f"{clock_mhz:g} MHz, which says nothing certain of the board's chip"
        )
    return "; ".join(known) or "not routed"


STEP = Step("route", run, Timing, options=("route", "route_seed"), needs=("design",), uses=nextpnr.installed)
