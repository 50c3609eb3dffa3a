# SPDX-License-Identifier: Apache-2.0
"""report/: summary.json and report.html from what the steps left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import yaml

from flows.bench.results import commit, tools
from flows.pipeline import Context, Step
from flows.report.summary import (
    Fifo,
    Graph,
    NodeResources,
    NodeRow,
    Performance,
    Provenance,
    Sample,
    StepRecord,
    StepResult,
    Summary,
)
from flows.sources import ROOT
from flows.steps.bitfile import Bitfile
from flows.steps.convert import Converted
from flows.steps.design import Designed
from flows.steps.export import Exported
from flows.steps.fold import Folded
from flows.steps.golden import Golden, load_golden
from flows.steps.route import Timing, in_words
from flows.steps.simulate import Simulated
from flows.steps.synthesise import Synthesised
from flows.steps.verify import Verified
from hw.design.design import Design, DesignNode, End

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

SAMPLES = 10
"""Pictures in the report."""
FOLDING = "# How this build was folded; change it and give it back with --config. Nodes are called as in the report.\n"


def run(context: Context) -> StepResult:
    """Gather the figures; one that was not measured is null."""
    began = time.monotonic()
    from flows.report.html import draw_pictures, render, write_report  # matplotlib takes a second

    nodes, golden = _nodes(context), load_golden(context)
    pictures = draw_pictures(nodes)
    # this step is among those reported on; what is left of it is to write the files
    own = StepRecord(name=context.current, status="done", seconds=round(time.monotonic() - began, 2), reason=None)
    summary = _summary(context, nodes, (*context.records, own))
    samples = _samples(golden, context.config.label_select)
    page = render(summary, nodes, pictures, golden.classes, samples=samples)
    write_report(summary, nodes, page, context.folder)
    design = {"network": context.config.network, "board": context.board.name}
    folding = yaml.safe_dump(design | {"folding": context.result(Folded).nodes}, sort_keys=False)
    (context.folder / "folding.yaml").write_text(FOLDING + folding)
    return StepResult()


def _summary(context: Context, nodes: list[NodeRow], steps: tuple[StepRecord, ...]) -> Summary:
    simulated = context.result(Simulated)
    interval = simulated.interval_cycles
    fps = round(context.clock_mhz * 1e6 / interval, 1) if interval else None
    target = context.target_fps()
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
            target_fps=target,
            reached=None if target is None or fps is None else fps >= target,
            interval_cycles=interval,
            latency_cycles=simulated.latency_cycles,
            fps=fps,
            bottleneck=max(nodes, key=lambda node: node.cycles or 0).name,
            fifo_bits=context.result(Designed).fifo_bits,
        ),
        resources=context.result(Synthesised).resources,
        levels=context.result(Synthesised).levels,
        vivado=vivado,
        routed=routed,
        timing=in_words(routed, vivado, context.clock_mhz),
        steps=steps,
        peak_memory_mb=context.memory.mb,
        provenance=Provenance(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit(ROOT),
            command=context.config.command(),
            tools=tools(),
        ),
    )


def _nodes(context: Context) -> list[NodeRow]:
    from hw.ops.registry import kinds  # FINN takes seconds

    used, slacks = context.result(Synthesised).nodes, context.result(Timing).slacks
    design = Design.load(context.path("design", "design"))
    writer = {tensor: node.name for node in design.nodes for tensor in node.outputs}
    constants = _constants(context.model("design"), used)
    return [
        NodeRow(
            name=node.name,
            op=node.op,
            # FINN says 0 where it has no formula; a FIFO is never what a design waits for
            cycles=None if node in design.fifos else node.cycles or None,
            folding=", ".join(f"{name} {value}" for name, value in node.folding.items()),
            label=kinds()[node.op].label,
            role=kinds()[node.op].role,
            layer=node.layer,
            takes=_types(ends[0]),
            gives=_types(ends[1]),
            constants=constants.get(node.name, ""),
            fifo=_fifo(node, ends[0][0][1], context.result(Designed).peaks) if node in design.fifos else None,
            slack_ns=slacks.get(node.name),
            inputs=tuple(writer[tensor] for tensor in node.inputs if tensor in writer),
            **(used[node.name].model_dump() if node.name in used else {}),
        )
        for node in design.nodes
        for ends in [design.ends(node.name)]
    ]


def _types(ends: Sequence[tuple[str, End]]) -> str:
    return ", ".join(dict.fromkeys(end.datatype for _, end in ends))


def _fifo(node: DesignNode, stream: End, peaks: Mapping[str, int]) -> Fifo:
    # that at the design's output has given its tensor's name to what it puts out
    peak = next((peaks[tensor] for tensor in (*node.inputs, *node.outputs) if tensor in peaks), None)
    return Fifo(depth=node.folding["depth"], width=stream.bits, peak=peak)


def _constants(model: ModelWrapper, used: Mapping[str, NodeResources]) -> dict[str, str]:
    """Type and shape of each node's weights or thresholds, and where they lie as synthesis has it."""
    from finn.util.basic import getHWCustomOp

    from hw.ops.registry import describe, register

    register()  # no step has, where all come from the cache
    found = {}
    for node in model.graph.node:
        op = describe(getHWCustomOp(node))
        tensors = [name for name in node.input if model.get_initializer(name) is not None]
        shapes = (" x ".join(map(str, model.get_tensor_shape(name))) for name in tensors)
        kinds = [f"{model.get_tensor_datatype(name).name} {shape}" for name, shape in zip(tensors, shapes, strict=True)]
        kinds += [f"{len(op.get_nodeattr(name))} {name.lower()}" for name in op.parameters]
        made = op.in_luts() or op.parameters
        place = "block RAM" if node.name in used and used[node.name].bram36 else "the RTL" if made else "LUTs"
        if kinds:
            found[node.name] = f"{', '.join(kinds)} in {place}"
    return found


def _samples(golden: Golden, label_select: bool) -> list[Sample]:
    """Some of the golden images, with what the hardware answers."""
    from flows.report.html import png

    def called(label: int) -> str:
        return golden.classes[label] if golden.classes else str(label)

    answers = golden.hardware[:, 0] if label_select else golden.hardware.argmax(axis=1)
    return [
        Sample(
            picture=png(image),
            answer=called(int(answers[number])),
            label=None if golden.labels is None else called(int(golden.labels[number])),
        )
        for number, image in enumerate(golden.images[:SAMPLES])
    ]


STEP = Step(
    "report",
    run,
    needs=("export", "convert", "fold", "verify", "design", "simulate", "synthesise", "package", "bitfile", "route"),
    always=True,
)
