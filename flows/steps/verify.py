# SPDX-License-Identifier: Apache-2.0
"""The rungs below the RTL: every graph in Python, the graph as a program on all images, FINN's HLS twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.custom_op.registry import getCustomOp

from flows.pipeline import Context, Skipped, Step
from flows.report.summary import Accuracy, StepResult
from flows.steps.convert import Converted
from flows.steps.cppsim import compare_hls, compare_program
from flows.steps.golden import Golden, check, integers, load_golden
from hw.compare import Tensors

HARDWARE_GRAPHS = ("convert", "fold", "specialise")


class Verified(StepResult):
    """The accuracy of the hardware, where the labels of the images are known."""

    accuracy: Accuracy | None = None


def run(context: Context) -> Verified:
    """Compare every intermediate graph with Brevitas' logits."""
    from hw import finn_env

    engines = context.config.verify
    if not {"python", "cppsim", "cppsim-hls"} & set(engines):
        raise Skipped("no rung below the RTL was asked for (--verify)")
    finn_env.setup(context.folder / "finn")
    golden = load_golden(context)
    if "python" in engines:
        for step in ("streamline", *HARDWARE_GRAPHS):
            _compare_graph(context, step, golden)
    accuracy = compare_program(context) if "cppsim" in engines else None
    if "cppsim-hls" in engines:
        compare_hls(context, golden)
    return Verified(accuracy=accuracy)


def _compare_graph(context: Context, step: str, golden: Golden) -> None:
    from hw.transforms.verify import execute

    context.status(f"graph after '{step}', {len(golden.images)} images")
    model = context.model(step)
    walk = None
    if step in HARDWARE_GRAPHS[1:]:  # the graph before it is exact, and has the same names
        before = context.model(HARDWARE_GRAPHS[HARDWARE_GRAPHS.index(step) - 1])

        def walk(number: int) -> tuple[Tensors, Tensors]:
            return _tensors(before, golden.images[number]), _tensors(model, golden.images[number])

    with context.comparing(step, "python", len(golden.images)):
        found, expected = execute(model, golden.images), golden.hardware
        if step not in HARDWARE_GRAPHS:
            outside = context.result(Converted)
            found, expected = (found, golden.logits) if outside.scale is None else (integers(found, outside), expected)
        check(context, f"graph after '{step}'", model, expected, found, walk=walk)


def _tensors(model: Any, image: NDArray[np.uint8]) -> Tensors:
    """Every tensor, but for windows of single channels, of which the order follows the kind of node and its folding."""
    from hw.ops.registry import describe
    from hw.transforms.verify import tensors

    unlike = {node.output[0] for node in model.graph.node if describe(getCustomOp(node)).interleaves()}
    return {name: values for name, values in tensors(model, image).items() if name not in unlike}


STEP = Step(
    "verify",
    run,
    Verified,
    options=("verify", "images"),
    needs=("export", "convert", "fold", "specialise"),
    compiles=lambda config: "cppsim" in config.verify,
)
