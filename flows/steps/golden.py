# SPDX-License-Identifier: Apache-2.0
"""The golden vectors of the export, and what they ask of each graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError
from flows.pipeline import Context


@dataclass(frozen=True)
class Golden:
    """Images (n, c, h, w) uint8, Brevitas' logits (n, classes) for them, and the integers the hardware must give."""

    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    hardware: NDArray[np.float32]


def load_golden(context: Context) -> Golden:
    """Read golden.npz; the hardware's integers are the logits without the scale that stays outside it.

    Both are dyadic numbers, so the division is exact. With label_select the hardware gives the top-1 instead.
    """
    with np.load(context.path("export", "golden.npz")) as file:
        images, logits = file["images"], file["logits"]
    if context.config.label_select:
        hardware = logits.argmax(axis=1)[:, None].astype(np.float32)
    else:
        hardware = logits / output_scale(ModelWrapper(str(context.path("convert", "parent.onnx"))))
    if not np.array_equal(hardware, np.round(hardware)):
        raise ToolError("the scale outside the partition does not turn the logits into integers")
    return Golden(images, logits, hardware)


def output_scale(parent: Any) -> np.float32:
    """Factor of the scalar Mul behind the partition."""
    (mul,) = parent.get_nodes_by_op_type("Mul")
    return np.float32(parent.get_initializer(mul.input[1]).item())


def compare(stage: str, expected: NDArray[Any], found: NDArray[Any], log: Path) -> None:
    """Raise ToolError that names the first image and value that differ; both tensors are written to `log`."""
    if expected.shape != found.shape:
        raise ToolError(f"{stage}: output of shape {found.shape} instead of {expected.shape}")
    wrong = np.argwhere(expected != found)
    if not len(wrong):
        return
    with np.printoptions(threshold=100_000, linewidth=120):
        log.write_text(f"{stage}\nexpected\n{expected}\nfound\n{found}\n")
    at = tuple(int(index) for index in wrong[0])
    images = len({int(index[0]) for index in wrong})
    raise ToolError(
        f"{stage} is not exact: {images} of {len(expected)} images differ, first image {at[0]}, "
        f"output {list(at[1:])}: {found[at]:g} instead of {expected[at]:g}",
        log,
    )
