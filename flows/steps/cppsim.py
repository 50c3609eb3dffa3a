# SPDX-License-Identifier: Apache-2.0
"""The rung of the compiled program: every tensor of one image, then the output of all test images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError, UserError
from flows.pipeline import Context
from flows.steps.golden import Golden, output_scale
from hw.errors import ToolFailure

FOLDER = "cppsim"
BATCH = 250


@dataclass(frozen=True)
class TestSet:
    """Images (n, c, h, w) uint8, labels (n,) where known, and the logits (n, classes) that Brevitas gives."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    logits: NDArray[np.float32]
    dataset: str


def compare_program(context: Context, golden: Golden) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Compile the graph and compare it.

    Returns:
        Rows of the verification, and the accuracy of the hardware where the test set is at hand.

    Raises:
        ToolError: the first node, pixel and channel that differ.
    """
    label = context.config.label_select
    scale = None if label else float(output_scale(ModelWrapper(str(context.path("convert", "parent.onnx")))))
    model = ModelWrapper(str(context.path("generate", "model.onnx")))
    accelerator = _compile(context, model, scale)
    began = time.monotonic()
    _compare_tensors(context, model, accelerator, golden.images[0], 0)
    rows = [_row("tensors", 1, began)]
    began = time.monotonic()
    tests = _test_set(context) or TestSet(golden.images, None, golden.logits, "")
    expected = tests.logits.argmax(axis=1)[:, None] if scale is None else tests.logits / np.float32(scale)
    found = accelerator.run(tests.images, progress=lambda done, n: context.status(f"cppsim: {done}/{n} images"))
    wrong = np.flatnonzero((found.reshape(expected.shape) != expected).any(axis=1))
    if len(wrong):
        first = int(wrong[0])
        _compare_tensors(context, model, accelerator, tests.images[first], first)
        raise ToolError(
            f"cppsim and Python agree on every node, but not with Brevitas: {len(wrong)} of {len(found)} images, "
            f"first image {first}: expected {expected[first].tolist()}, got {found[first].ravel().tolist()}",
            context.log,
        )
    rows.append(_row("test images" if tests.dataset else "graph", len(found), began))
    return rows, _accuracy(accelerator.predict(tests.images), tests)


def compare_hls(context: Context, golden: Golden) -> dict[str, Any]:
    """FINN's own simulation of the nodes' HLS twins, on one image; a row that says why, where it cannot run.

    Raises:
        ToolError: the first node, pixel and channel that differ.
    """
    from hw.cppsim.hls import compare_twins, missing

    began = time.monotonic()
    reason = missing()
    if reason is not None:
        return {"stage": "HLS twins", "engine": "cppsim-hls", "images": 0, "mismatches": None, "reason": reason} | {
            "seconds": 0.0
        }
    context.status("compiling the HLS twin of every node")
    model = ModelWrapper(str(context.path("fold", "model.onnx")))
    tensors = _compile(context, model, None).tensors(golden.images[0])
    count, found = compare_twins(model, tensors, context.board.part)
    if found is not None:
        raise ToolError(f"FINN's HLS differs from cppsim: {found}", context.log)
    return _row(f"HLS twins of {count} nodes", 1, began) | {"engine": "cppsim-hls"}


def _compile(context: Context, model: Any, scale: float | None) -> Any:
    from hw.cppsim import Accelerator
    from hw.cppsim.errors import CppsimError
    from hw.cppsim.program import generate

    context.status("compiling the graph")
    try:
        generate(model, scale=scale).write(context.folder / FOLDER)
        return Accelerator.load(context.folder)
    except CppsimError as error:
        log = error.log if isinstance(error, ToolFailure) else None
        raise ToolError(f"cppsim: {error.args[0]}", log or context.log) from error


def _compare_tensors(context: Context, model: Any, accelerator: Any, image: NDArray[np.uint8], number: int) -> None:
    """Every tensor of one image with FINN's Python execution of the same graph."""
    from hw.compare import first_difference, save
    from hw.transforms.verify import tensors

    expected, got = tensors(model, image), accelerator.tensors(image)
    found = first_difference(model, expected, got, number)
    if found is not None:
        path = save(found, expected, got, context.config.output / "report")
        raise ToolError(f"cppsim differs from Python: {found}", path)


def _test_set(context: Context) -> TestSet | None:
    """All test images with Brevitas' logits; None where the data set is not at hand."""
    import torch

    from model.checkpoint import load_checkpoint
    from model.data import load_images
    from model.errors import ModelError
    from model.networks import to_brevitas

    config = context.config
    try:
        found = load_images(config.network, "test", config.data_dir)
    except ModelError as error:
        if config.data_dir is None:
            return None
        raise UserError(str(error)) from error
    network = to_brevitas(load_checkpoint(context.checkpoint, config.network, "hardware")[0]).eval()
    logits = []
    with torch.no_grad():
        for start in range(0, len(found), BATCH):
            context.status(f"Brevitas: {start}/{len(found)} images")
            logits.append(network(torch.from_numpy(found.images[start : start + BATCH])).numpy())
    return TestSet(found.images, found.labels, np.concatenate(logits), found.dataset)


def _accuracy(found: NDArray[Any], tests: TestSet) -> dict[str, Any] | None:
    """Of the hardware, whole and by class; ``found`` are the classes that it gives."""
    if tests.labels is None:
        return None
    classes = tests.logits.shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (tests.labels, found), 1)
    right, images, given = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "dataset": tests.dataset,
        "images": len(found),
        "top1": int(right.sum()) / len(found),
        "engine": "cppsim",
        "confusion": confusion.tolist(),
        "classes": [
            {"images": int(n), "recall": int(r) / int(n) if n else None, "precision": int(r) / int(g) if g else None}
            for r, n, g in zip(right, images, given, strict=True)
        ],
    }


def _row(stage: str, images: int, began: float) -> dict[str, Any]:
    seconds = round(time.monotonic() - began, 2)
    return {"stage": stage, "engine": "cppsim", "images": images, "mismatches": 0, "seconds": seconds}
