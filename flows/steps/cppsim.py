# SPDX-License-Identifier: Apache-2.0
"""The rung of the compiled program: every tensor of one image, then the output of all golden images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.errors import ToolError
from flows.pipeline import Context
from flows.report.summary import Accuracy, ClassAccuracy, Verification
from flows.steps.convert import Converted
from flows.steps.export import Exported
from flows.steps.golden import Golden, compare_tensors, load_golden

FOLDER = "cppsim"


def compare_program(context: Context) -> Accuracy | None:
    """Compile the graph and compare it.

    Returns:
        The accuracy of the hardware, where the labels are known.

    Raises:
        ToolError: the first node, pixel and channel that differ.
    """
    model = context.model("specialise")
    accelerator = _compile(context, model, context.result(Converted))
    golden = load_golden(context, all_images=True)
    with context.comparing("tensors", "cppsim", 1):
        _compare_tensors(context, model, accelerator, golden.images[0], 0)
    stage = "graph" if golden.labels is None else "test images"
    with context.comparing(stage, "cppsim", len(golden.images)):
        found = accelerator.run(golden.images, progress=lambda done, n: context.status(f"cppsim: {done}/{n} images"))
        expected = golden.hardware
        wrong = np.flatnonzero((found.reshape(expected.shape) != expected).any(axis=1))
        if len(wrong):
            first = int(wrong[0])
            _compare_tensors(context, model, accelerator, golden.images[first], first)
            raise ToolError(
                f"cppsim and Python agree on every node, but not with Brevitas: {len(wrong)} of {len(found)} images, "
                f"first image {first}: expected {expected[first].tolist()}, got {found[first].ravel().tolist()}",
                context.log,
            )
    return _accuracy(context, accelerator.classes(found), golden)


def compare_hls(context: Context, golden: Golden) -> None:
    """FINN's own simulation of the nodes' HLS twins, on one image; a row that says why, where it cannot run.

    Raises:
        ToolError: the first node, pixel and channel that differ.
    """
    from hw.cppsim.hls import compare_twins, missing

    reason = missing()
    if reason is not None:
        row = Verification(stage="HLS twins", engine="cppsim-hls", images=0, mismatches=None, seconds=0, reason=reason)
        context.compared.append(row)
        return
    context.status("compiling the HLS twin of every node")
    model = context.model("fold")
    tensors = _compile(context, model).tensors(golden.images[0])
    with context.comparing("HLS twins", "cppsim-hls", 1):
        _, found = compare_twins(model, tensors, context.board.part)
        if found is not None:
            raise ToolError(f"FINN's HLS differs from cppsim: {found}", context.log)


def _compile(context: Context, model: Any, outside: Converted | None = None) -> Any:
    from hw.cppsim import Accelerator
    from hw.cppsim.program import generate_program

    context.status("compiling the graph")
    scale, offset = (None, 0.0) if outside is None else (outside.scale, outside.offset)
    generate_program(model, scale=scale, offset=offset).write(context.folder / FOLDER)
    return Accelerator.load(context.folder)


def _compare_tensors(context: Context, model: Any, accelerator: Any, image: NDArray[np.uint8], number: int) -> None:
    """Every tensor of one image with FINN's Python execution of the same graph."""
    from hw.transforms.verify import tensors

    expected, found = tensors(model, image), accelerator.tensors(image)
    compare_tensors(context, "cppsim differs from Python:", model, expected, found, number=number)


def _accuracy(context: Context, answers: NDArray[np.int64], golden: Golden) -> Accuracy | None:
    """Of the hardware, whole and by class; `answers` are the classes that it gives. None without labels."""
    if golden.labels is None:
        return None
    count = golden.logits.shape[1]
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (golden.labels, answers), 1)
    right, images, given = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return Accuracy(
        dataset=context.result(Exported).dataset,
        images=len(answers),
        top1=int(right.sum()) / len(answers),
        engine="cppsim",
        confusion=tuple(map(tuple, confusion.tolist())),
        classes=tuple(
            ClassAccuracy(images=n, recall=int(r) / int(n) if n else None, precision=int(r) / int(g) if g else None)
            for r, n, g in zip(right, images, given, strict=True)
        ),
    )
