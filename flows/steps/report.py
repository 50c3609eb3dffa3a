# SPDX-License-Identifier: Apache-2.0
"""report/: summary.json and report.html from what the steps left."""

from __future__ import annotations

import time
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flows.pipeline import Context, Step, StepRecord, digest
from flows.report.summary import NodeRow, Summary

FOLDING = ("PE", "SIMD", "depth")


def run(context: Context) -> dict[str, Any]:
    """Gather the figures; one that was not measured is null."""
    began = time.monotonic()
    from flows.report.html import Pictures, write_report  # matplotlib takes a second

    nodes = _nodes(context)
    pictures = Pictures.of(nodes)
    # this step is among those reported on; what is left of it is to write the files
    own = StepRecord(name=context.current, status="done", seconds=round(time.monotonic() - began, 2))
    summary = Summary.model_validate(_summary(context, nodes, [*context.records, own]))
    page = write_report(summary, nodes, pictures, context.folder)
    return {"page": page.name}


def _summary(context: Context, nodes: list[NodeRow], steps: list[StepRecord]) -> dict[str, Any]:
    results = context.results
    card = results["export"]["card"]
    stitched = results["stitch"]
    performance = results["simulate"].get("performance", {})
    measured = {name: performance.get(name) for name in ("interval_cycles", "latency_cycles", "fps")}
    slowest = max(nodes, key=lambda node: node.cycles or 0)
    return {
        "board": context.board.name,
        "part": context.board.part,
        "clock_mhz": context.clock_mhz,
        "network": context.config.network,
        "checkpoint": {"sha256": digest(context.checkpoint)}
        | {"dataset": card["dataset"], "images": card["test_images"], "top1": card["top1"]},
        "graph": {
            "nodes": len(nodes),
            "hls_nodes": results["specialise"]["hls_nodes"],
            "outside_partition": results["convert"]["outside"],
        },
        "verification": [
            row for step in ("export", "verify", "simulate", "package") for row in results[step].get("verification", [])
        ],
        "accuracy": results["verify"].get("accuracy"),
        "performance": measured | {"bottleneck": slowest.name, "fifo_bits": stitched["fifo_bits"]},
        "resources": results["synthesise"].get("resources"),
        "vivado": results["bitfile"].get("vivado"),
        "steps": [record.model_dump() for record in steps],
        "peak_memory_mb": context.memory.mb,
    }


def _nodes(context: Context) -> list[NodeRow]:
    used = context.results["synthesise"].get("nodes", {})
    from hw.ops.registry import kind_of, register

    register()  # where every other step came from the cache
    model = ModelWrapper(str(context.path("stitch", "model.onnx")))
    rows = []
    for node in model.graph.node:
        operator = getCustomOp(node)
        folding = [f"{name} {operator.get_nodeattr(name)}" for name in FOLDING if name in operator.get_nodeattr_types()]
        resources = used.get(node.name, {})
        producers = [producer.name for name in node.input if (producer := model.find_producer(name)) is not None]
        rows.append(
            NodeRow(
                name=node.name,
                op=node.op_type,
                label=kind_of(node).label,
                role=kind_of(node).role,
                cycles=int(operator.get_exp_cycles()) or None,  # FINN says 0 where it has no formula
                folding=", ".join(folding),
                inputs=tuple(producers),
                **{name: resources.get(name) for name in ("lut", "ff", "bram36", "dsp")},
            )
        )
    return rows


STEP = Step(
    "report",
    run,
    needs=("export", "convert", "specialise", "verify", "stitch", "simulate", "synthesise", "package", "bitfile"),
    always=True,
)
