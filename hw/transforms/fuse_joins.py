# SPDX-License-Identifier: Apache-2.0
"""Thresholds, residual sum, clip and sign of a block become one node, where that is proven to be the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from qonnx.core.datatype import DataType
from typing_extensions import override

from hw.transforms.rewriting import Rewriting, only_consumer, replace_by_rtl

Ints = npt.NDArray[np.int64]
LARGEST_FACTOR = 2**17 - 1
"""What a DSP block multiplies by."""
LARGEST_SHIFT = 20
LARGEST_RESIDUAL = 10
"""Bits; each value of it is tried with each count."""


@dataclass(frozen=True)
class Affine:
    """The line of each channel: (factors * count + offsets) >> shift, not clipped yet."""

    factors: Ints
    offsets: Ints
    shift: int


class FuseResidualJoins(Rewriting):
    """Turn ``Thresholding -> ElementwiseAdd -> Thresholding -> sign`` into ResidualJoin_rtl.

    A batch norm makes thresholds that lie on a line, of which each channel's factor and offset are found. That they,
    the sum and one clip say the same as the four nodes is tried for every count and every residual that there can
    be; where it does not hold for every channel, the nodes stay.
    """

    at = ("ElementwiseAdd",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        clip = only_consumer(model, node.output[0], "Thresholding")
        for counted, residual in (node.input, reversed(node.input)) if clip is not None else ():
            branch = model.find_producer(counted)
            alone = only_consumer(model, counted, node.op_type) is not None
            if alone and branch is not None and branch.op_type == "Thresholding":
                line = _line(model, branch, residual, clip)
                if line is not None:
                    _insert(model, line, (branch, node, clip), (branch.input[0], residual))
                    break
        return False


def _line(model: Any, branch: NodeProto, residual: str, clip: NodeProto) -> Affine | None:
    """What the branch's thresholds say, proven together with the sum and the clip; None where there is nothing."""
    datatype, total = model.get_tensor_datatype(residual), model.get_tensor_datatype(clip.output[0])
    shapes = [model.get_tensor_shape(name) for name in (branch.input[0], residual, clip.output[0])]
    highest = _largest_count(model, branch)
    signed = datatype.signed() and total.signed() and datatype.bitwidth() <= LARGEST_RESIDUAL
    if highest is None or not signed or not shapes[0] == shapes[1] == shapes[2]:
        return None
    levels = [levels_of(model, node, shapes[0][-1]) for node in (branch, clip)]
    line = affine(*levels[0], highest)
    return line if line is not None and same(line, levels, highest, datatype, total) else None


def _largest_count(model: Any, branch: NodeProto) -> int | None:
    """The largest value that the branch's thresholds can meet; None where they can be negative."""
    producer = model.find_producer(branch.input[0])
    if producer is not None and producer.op_type == "MVAU" and getHWCustomOp(producer).get_nodeattr("binaryXnorMode"):
        return int(getHWCustomOp(producer).get_nodeattr("MW"))
    datatype = model.get_tensor_datatype(branch.input[0])
    return int(datatype.max()) if datatype.is_integer() and not datatype.signed() else None


def levels_of(model: Any, node: NodeProto, channels: int) -> tuple[Ints, int]:
    """Thresholds (channels, steps) and the value below the first of them."""
    levels = np.rint(model.get_initializer(node.input[1])).astype(np.int64)
    return np.broadcast_to(levels, (channels, levels.shape[1])), int(getHWCustomOp(node).get_nodeattr("ActVal"))


def _is_sign(model: Any, node: NodeProto) -> bool:
    if node.op_type != "Thresholding" or model.get_tensor_datatype(node.output[0]) != DataType["BINARY"]:
        return False
    return not np.any(model.get_initializer(node.input[1]))


def affine(
    levels: Ints, bias: int, highest: int, *, largest: int = LARGEST_FACTOR, shifts: int = LARGEST_SHIFT
) -> Affine | None:
    """The lines of which thresholds are the steps: step k, from 1 on, is reached where the line reaches ``bias + k``.

    Args:
        levels: (channels, steps), ascending.
        bias: value below the first threshold.
        highest: largest count, the smallest is 0.
        largest: factor.
        shifts: the largest.

    Returns:
        The lines with the least shift that serves all channels, or None where a channel's thresholds lie on none.
    """
    steps = bias + 1 + np.arange(levels.shape[1])
    reached = np.clip(levels, 0, highest + 1)
    shift = 0
    for row in reached:
        while _factors(row, steps, highest, shift, largest) is None:
            shift += 1
            if shift > shifts:
                return None
    found = [_factors(row, steps, highest, shift, largest) for row in reached]
    if None in found:  # the shift that one channel needs is too much for another
        return None
    factors = np.array(found, np.int64)
    offsets = [_offset(row, steps, highest, shift, int(f)) for row, f in zip(reached, factors, strict=True)]
    return Affine(factors, np.array(offsets, np.int64), shift)


def _factors(row: Ints, steps: Ints, highest: int, shift: int, largest: int) -> int | None:
    """The smallest factor for which there is an offset, or None.

    At count t, where step k begins, f t + o >= k 2^s, and at t - 1, f (t - 1) + o < k 2^s. For steps i and j, an offset
    between the two bounds exists if f (t_j - 1 - t_i) <= (k_j - k_i) 2^s - 1.
    """
    begins, ends = row <= highest, row >= 1  # within the counts: above are steps never reached, below always
    runs = (row[ends] - 1)[None, :] - row[begins][:, None]
    rises = ((steps[ends][None, :] - steps[begins][:, None]) << shift) - 1
    if np.any(rises[runs == 0] < 0):
        return None
    above, below = runs > 0, runs < 0
    most = (rises[above] // runs[above]).min(initial=largest)
    least = (-(rises[below] // -runs[below])).max(initial=0)
    return int(least) if least <= most else None


def _offset(row: Ints, steps: Ints, highest: int, shift: int, factor: int) -> int:
    """Of the offsets that serve with ``factor`` the one that ends in most zeros: constants that are cheap to keep."""
    begins, ends = row <= highest, row >= 1
    lower = [int(bound) for bound in (steps[begins] << shift) - factor * row[begins]]
    upper = [int(bound) for bound in (steps[ends] << shift) - 1 - factor * (row[ends] - 1)]
    step = 1 << shift  # where there is no bound on one side, up to a step beyond the other
    low, high = max(lower or [min(upper) - step]), min(upper or [max(lower) + step])
    zeros = max(k for k in range(64) if (high >> k) << k >= low)
    return (high >> zeros) << zeros


def same(line: Affine, levels: list[tuple[Ints, int]], highest: int, residual: Any, total: Any) -> bool:
    """Whether line, sum and one clip equal the two rows of ``levels`` around a sum, for all that can come in."""
    counts = np.arange(highest + 1)[:, None]
    residuals = np.arange(int(residual.min()), int(residual.max()) + 1)[None, :]
    (branch, branch_bias), (clip, clip_bias) = levels
    for channel, (factor, offset) in enumerate(zip(line.factors, line.offsets, strict=True)):
        sums = branch_bias + np.searchsorted(branch[channel], counts, side="right") + residuals
        expected = clip_bias + np.searchsorted(clip[channel], sums, side="right")
        whole = (factor * counts + offset + (residuals << line.shift)) >> line.shift
        if not np.array_equal(np.clip(whole, int(total.min()), int(total.max())), expected):
            return False
    return True


def _insert(model: Any, line: Affine, nodes: tuple[NodeProto, ...], inputs: tuple[str, str]) -> None:
    """Put the join in the place of ``nodes``, thresholds, sum and clip, and of a sign that reads them."""
    clip = nodes[-1]
    total = clip.output[0]
    readers = model.find_consumers(total)
    read = len(readers) > 1 or total in (output.name for output in model.graph.output)
    # Where the sum itself is not read it would have to be thrown away: the sign stays a node of its own.
    sign = [node for node in readers if read and _is_sign(model, node)][:1]
    attributes = {
        "residualDataType": model.get_tensor_datatype(inputs[1]).name,
        "outputDataType": model.get_tensor_datatype(total).name,
        "Factors": line.factors.tolist(),
        "Offsets": line.offsets.tolist(),
        "Shift": line.shift,
    }
    outputs = [total, *(node.output[0] for node in sign)]
    replace_by_rtl(model, clip, "ResidualJoin_rtl", inputs, outputs, **attributes)
    for node in (*nodes[:-1], *sign):
        model.graph.node.remove(node)
