# SPDX-License-Identifier: Apache-2.0
"""The golden vectors of the export, and what they ask of each graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.errors import ToolError
from flows.pipeline import Context
from flows.steps.convert import Converted
from hw.compare import Tensors, first_difference, save, written

MOST_OFF = 0.25
"""What a logit may be off from its integer by where float32 sums are rounded; half would be another one."""


@dataclass(frozen=True)
class Golden:
    """What every graph is held to.

    Attributes:
        images: (n, c, h, w) uint8, or the integers that a model of the user's takes.
        logits: (n, classes) of Brevitas, or of QONNX for a model of the user's.
        hardware: the integers that the hardware must give.
        labels: (n,), the true ones where they are known.
        classes: their names, none where they are numbers.
    """

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    hardware: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]


def load_golden(context: Context, *, all_images: bool = False) -> Golden:
    """Read golden.npz, the images that are compared on every graph or all of them.

    With label_select the hardware gives the top-1 in place of the logits' integers.
    """
    count = None if all_images else context.config.images
    with np.load(context.path("export", "golden.npz")) as file:
        images, logits = file["images"][:count], file["logits"][:count]
        labels = file["labels"][:count] if "labels" in file else None
        classes = tuple(map(str, file["classes"]))
    outside = context.result(Converted)
    label = outside.scale is None
    hardware = logits.argmax(axis=1)[:, None].astype(np.float32) if label else integers(logits, outside)
    return Golden(images, logits, hardware, labels, classes)


def integers(logits: NDArray[np.float32], outside: Converted) -> NDArray[np.float32]:
    """Logits without the offset and the scale that stay outside the hardware.

    Exact where the scale is a power of two and nothing is added, as in the networks of this project; else MOST_OFF is
    what float32 sums may be off by.
    """
    scale = np.asarray(outside.scale, np.float64)
    values = (logits.astype(np.float64) - outside.offset) / scale
    whole: NDArray[np.float64] = np.rint(values)
    exact = bool(np.all(np.frexp(scale)[0] == 0.5)) and not np.any(outside.offset)
    if not np.abs(values - whole).max(initial=0) <= (0 if exact else MOST_OFF):  # no number is no integer either
        raise ToolError("scale and offset outside the partition do not turn the logits into integers")
    return whole.astype(np.float32)


def check(
    context: Context,
    stage: str,
    model: Any,
    expected: NDArray[Any],
    found: NDArray[Any],
    *,
    walk: Callable[[int], tuple[Tensors, Tensors]] | None = None,
) -> None:
    """Compare a graph's output on all images.

    Args:
        context: of the step; the report folder gets both versions of a tensor that differs.
        stage: for the message.
        model: the graph.
        expected: (images, ...).
        found: the same.
        walk: gives every tensor of an image, expected and found, so that the first node that differs can be named;
            without it that is the last one.

    Raises:
        ToolError: the first image, node, pixel and channel that differ.
    """
    if expected.shape != found.shape:
        raise ToolError(f"{stage}: output of shape {found.shape} instead of {expected.shape}")
    wrong = [number for number in range(len(expected)) if not np.array_equal(expected[number], found[number])]
    if not wrong:
        return
    name, number = model.graph.output[0].name, wrong[0]
    message = f"{stage} is not exact: {len(wrong)} of {len(expected)} images differ"
    if walk is not None:
        compare_tensors(context, f"{message};", model, *walk(number), number=number)
    compare_tensors(context, f"{message};", model, {name: expected[[number]]}, {name: found[[number]]}, number=number)
    raise ToolError(message, context.log)


def compare_tensors(
    context: Context, complaint: str, model: Any, expected: Tensors, found: Tensors, *, number: int
) -> None:
    """Compare an image's tensors, as far as both know them.

    Raises:
        ToolError: the complaint, and the first node, pixel and channel that differ; the report has both tensors.
    """
    first = first_difference(written(model), expected, found, number)
    if first is not None:
        raise ToolError(f"{complaint} {first}", save(first, expected, found, context.config.output / "report"))
