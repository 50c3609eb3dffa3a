# SPDX-License-Identifier: Apache-2.0
"""The rungs below the whole design: every graph in Python, the graph as a program, every node's RTL on its own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flows.errors import ToolError
from flows.pipeline import Context, Skipped, Step
from flows.steps.cppsim import compare_hls, compare_program
from flows.steps.golden import Golden, check, load_golden
from hw.compare import Tensors, save

HARDWARE_GRAPHS = ("convert", "fold", "specialise", "generate")


def run(context: Context) -> dict[str, Any]:
    """Compare every intermediate graph with Brevitas' logits, and every node's RTL with its Python execution."""
    from hw import finn_env

    engines = context.config.verify
    if not engines:
        raise Skipped("no rung was asked for (--verify)")
    finn_env.setup(context.folder / "finn")
    golden = load_golden(context)
    rows = []
    if "python" in engines:
        rows = [_compare_graph(context, step, golden) for step in ("streamline", *HARDWARE_GRAPHS)]
    accuracy = None
    if "cppsim" in engines:
        compared, accuracy = compare_program(context, golden)
        rows += compared
    if "cppsim-hls" in engines:
        rows.append(compare_hls(context, golden))
    nodes: list[dict[str, Any]] = []
    if "rtlsim" in engines:
        row, nodes = _compare_nodes(context, golden)
        rows.append(row)
    return {"verification": rows, "nodes": nodes, "accuracy": accuracy}


def _compare_graph(context: Context, step: str, golden: Golden) -> dict[str, Any]:
    from hw.transforms.verify import execute

    context.status(f"graph after '{step}', {len(golden.images)} images")
    began = time.monotonic()
    model = ModelWrapper(str(context.path(step, "model.onnx")))
    found = execute(model, golden.images)
    expected = golden.hardware if step in HARDWARE_GRAPHS else golden.logits
    walk = None
    if step in HARDWARE_GRAPHS[1:]:  # the graph before it is exact, and has the same names
        before = ModelWrapper(str(context.path(HARDWARE_GRAPHS[HARDWARE_GRAPHS.index(step) - 1], "model.onnx")))

        def walk(number: int) -> tuple[Tensors, Tensors]:
            return _tensors(before, golden.images[number]), _tensors(model, golden.images[number])

    check(context, f"graph after '{step}'", model, expected, found, walk=walk)
    return _row(step, "python", len(golden.images), began)


def _tensors(model: Any, image: NDArray[np.uint8]) -> Tensors:
    """Every tensor, but for windows of single channels: generic and RTL nodes have their elements in unlike order."""
    from hw.transforms.verify import tensors

    generators = [node for node in model.graph.node if node.op_type.startswith("ConvolutionInputGenerator")]
    unlike = {node.output[0] for node in generators if getCustomOp(node).get_nodeattr("depthwise")}
    return {name: values for name, values in tensors(model, image).items() if name not in unlike}


def _compare_nodes(context: Context, golden: Golden) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from hw.rtlsim.nodewise import check_nodes
    from hw.transforms.verify import tensors

    began = time.monotonic()
    model_file = context.path("generate", "model.onnx")
    values = context.folder / "tensors.npz"
    arrays: dict[str, Any] = tensors(ModelWrapper(str(model_file)), golden.images[0])
    np.savez(values, **arrays)
    build_dir = context.folder / "finn"
    results = check_nodes(model_file, values, build_dir, workers=context.config.workers, progress=context.status)
    wrong = [result.difference for result in results if result.difference is not None]
    if wrong:
        context.log.with_name("node-differences.log").write_text("".join(f"{found}\n" for found in wrong))
        got = {
            found.tensor: result.got for result in results if (found := result.difference) and result.got is not None
        }
        path = save(wrong[0], arrays, got, context.config.output / "report")
        raise ToolError(f"RTL differs from Python: {wrong[0]}", path)
    nodes = [{"name": r.node, "cycles": r.cycles, "expected_cycles": r.expected_cycles} for r in results]
    return _row("nodes", "rtlsim", 1, began), nodes


def _row(stage: str, engine: str, images: int, began: float) -> dict[str, Any]:
    seconds = round(time.monotonic() - began, 2)
    return {"stage": stage, "engine": engine, "images": images, "mismatches": 0, "seconds": seconds}


STEP = Step(
    "verify",
    run,
    options=("verify", "label_select", "network", "data_dir"),
    needs=("export", "convert", "fold", "generate"),
    compiles=lambda config: not {"cppsim", "rtlsim"}.isdisjoint(config.verify),
)
