# SPDX-License-Identifier: Apache-2.0
"""report/: summary.json and report.html from what the steps left."""

from __future__ import annotations

import time

from flows.pipeline import Context, Step
from flows.report.summary import Graph, NodeRow, Performance, StepRecord, StepResult, Summary
from flows.steps.bitfile import Bitfile
from flows.steps.convert import Converted
from flows.steps.design import Designed
from flows.steps.export import Exported
from flows.steps.fold import Folded
from flows.steps.golden import load_golden
from flows.steps.route import Timing, in_words
from flows.steps.simulate import Simulated
from flows.steps.synthesise import Synthesised
from flows.steps.verify import Verified
from hw.design.design import Design


def run(context: Context) -> StepResult:
    """Gather the figures; one that was not measured is null."""
    began = time.monotonic()
    from flows.report.html import draw_pictures, write_report  # matplotlib takes a second

    nodes = _nodes(context)
    pictures = draw_pictures(nodes)
    # this step is among those reported on; what is left of it is to write the files
    own = StepRecord(name=context.current, status="done", seconds=round(time.monotonic() - began, 2), reason=None)
    summary = _summary(context, nodes, (*context.records, own))
    write_report(summary, nodes, pictures, context.folder, load_golden(context).classes)
    return StepResult()


def _summary(context: Context, nodes: list[NodeRow], steps: tuple[StepRecord, ...]) -> Summary:
    simulated = context.result(Simulated)
    interval = simulated.interval_cycles
    vivado, routed = context.result(Bitfile).vivado, context.result(Timing).routed
    return Summary(
        board=context.board.name,
        part=context.board.part,
        clock_mhz=context.clock_mhz,
        network=context.config.network,
        checkpoint=context.result(Exported).checkpoint,
        graph=Graph(
            nodes=len(nodes),
            hls_nodes=sum(node.op.endswith("_hls") for node in nodes),
            outside_partition=context.result(Converted).outside,
            joins_fused=sum(node.op == "ResidualJoin_rtl" for node in nodes),
            joins_apart=sum(node.op == "StreamAdd_rtl" for node in nodes),
        ),
        verification=tuple(row for result in context.results.values() for row in result.verification),
        accuracy=context.result(Verified).accuracy,
        folding=context.result(Folded).folding,
        performance=Performance(
            interval_cycles=interval,
            latency_cycles=simulated.latency_cycles,
            fps=round(context.clock_mhz * 1e6 / interval, 1) if interval else None,
            bottleneck=max(nodes, key=lambda node: node.cycles or 0).name,
            fifo_bits=context.result(Designed).fifo_bits,
        ),
        resources=context.result(Synthesised).resources,
        vivado=vivado,
        routed=routed,
        timing=in_words(routed, vivado, context.clock_mhz),
        steps=steps,
        peak_memory_mb=context.memory.mb,
    )


def _nodes(context: Context) -> list[NodeRow]:
    from hw.ops.registry import kinds  # FINN takes seconds

    used, slacks = context.result(Synthesised).nodes, context.result(Timing).slacks
    design = Design.load(context.path("design", "design"))
    writer = {tensor: node.name for node in design.nodes for tensor in node.outputs}
    return [
        NodeRow(
            name=node.name,
            op=node.op,
            cycles=node.cycles or None,  # FINN says 0 where it has no formula
            folding=", ".join(f"{name} {value}" for name, value in node.folding.items()),
            label=kinds()[node.op].label,
            role=kinds()[node.op].role,
            layer=node.layer,
            slack_ns=slacks.get(node.name),
            inputs=tuple(writer[tensor] for tensor in node.inputs if tensor in writer),
            **(used[node.name].model_dump() if node.name in used else {}),
        )
        for node in design.nodes
    ]


STEP = Step(
    "report",
    run,
    needs=("export", "convert", "fold", "verify", "design", "simulate", "synthesise", "package", "bitfile", "route"),
    always=True,
)
