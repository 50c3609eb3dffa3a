# SPDX-License-Identifier: Apache-2.0
"""One comparison for all engines: the first node whose output differs from the reference, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
DIFFERENCE = "difference.npz"
"""The file that `save` writes."""


@dataclass(frozen=True)
class Difference:
    """The first value that differs, in the first node that differs.

    Attributes:
        node, op: the node that writes the tensor, and its operator; "" for an input of the graph.
        tensor: name of the tensor.
        image: which of the compared images.
        pixel: position without the channel, (row, column) or less.
        channel: position along the last axis.
        expected, got: the two values.
        count, size: how many values of the tensor differ, and how many there are.
    """

    node: str
    op: str
    tensor: str
    image: int
    pixel: tuple[int, ...]
    channel: int
    expected: float
    got: float
    count: int
    size: int

    def __str__(self) -> str:
        where = f"pixel {list(self.pixel)}, channel {self.channel}" if self.pixel else f"channel {self.channel}"
        return (
            f"{self.node or 'input'} ({self.op or self.tensor}): image {self.image}, {where}: "
            f"expected {self.expected:g}, got {self.got:g}; {self.count} of {self.size} values of {self.tensor} differ"
        )


def difference(
    expected: Array, got: Array, *, node: str = "", op: str = "", tensor: str = "", image: int = 0
) -> Difference | None:
    """Compare one tensor of one image, (1, ..., channels); None where every value is equal.

    Shapes may differ in axes of length 1, which streams do not know.

    Raises:
        ValueError: the numbers of values differ.
    """
    if expected.size != got.size:
        raise ValueError(f"{node} ({op}): {got.size} values of {tensor} instead of {expected.size}")
    got = got.reshape(expected.shape)
    wrong = np.argwhere(expected != got)  # NaN, which is what was never written, differs from everything
    if not len(wrong):
        return None
    at = tuple(int(index) for index in wrong[0])
    inner = at[1:] if expected.ndim > 1 and expected.shape[0] == 1 else at
    return Difference(
        node, op, tensor, image, inner[:-1], inner[-1], float(expected[at]), float(got[at]), len(wrong), expected.size
    )


def first_difference(
    order: Iterable[tuple[str, str, str]], expected: Tensors, got: Tensors, image: int = 0
) -> Difference | None:
    """Walk through a graph and return what differs at the first node, or None.

    Args:
        order: (tensor, node, operator) of every tensor, see `written` and Design.written.
        expected, got: tensors of one image by name; those that only one of them has are passed over.
        image: number of the image, for the message.

    Raises:
        ValueError: the two have no tensor in common, or tensors of different sizes.
    """
    found = [row for row in order if row[0] in expected and row[0] in got]
    if not found:
        raise ValueError("nothing to compare: the two engines know no tensor by the same name")
    results = (difference(expected[t], got[t], node=node, op=op, tensor=t, image=image) for t, node, op in found)
    return next(filter(None, results), None)


def save(found: Difference, expected: Tensors, got: Tensors, folder: Path) -> Path:
    """Write the two versions of the tensor that differs, and the message; returns the .npz file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DIFFERENCE
    np.savez(path, expected=expected[found.tensor], got=got[found.tensor])
    (folder / "difference.txt").write_text(f"{found}\n")
    return path


def written(model: Any) -> Iterator[tuple[str, str, str]]:
    """Yield (tensor, node, operator) of a sorted graph (ModelWrapper): inputs first, then as nodes write them."""
    yield from ((tensor.name, "", "") for tensor in model.graph.input)
    yield from ((name, node.name, node.op_type) for node in model.graph.node for name in node.output)
