# SPDX-License-Identifier: Apache-2.0
"""Thresholds, residual sum, clip and sign of a block become one node, where that is proven to be the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.util.basic import getHWCustomOp
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.transformation.base import Transformation

from hw.ops.cell_op import RTL_DOMAIN
from hw.transforms.building import new_tensor

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


class FuseResidualJoins(Transformation):
    """Turn ``Thresholding -> ElementwiseAdd -> Thresholding -> sign`` into ResidualJoin_rtl.

    A batch norm makes thresholds that lie on a line, of which each channel's factor and offset are found. That they, the
    sum and one clip say the same as the four nodes is tried for every count and every residual that there can be; where
    it does not hold for every channel, the nodes stay.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Rewrite every join; the second result is False, one pass is enough."""
        for add in list(model.get_nodes_by_op_type("ElementwiseAdd")):
            clip = _only_reader(model, add)
            for slot in range(2):
                branch = model.find_producer(add.input[slot])
                if clip is None or branch is None or _only_reader(model, branch) is not add:
                    continue
                if branch.op_type == clip.op_type == "Thresholding" and _fuse(model, branch, add, 1 - slot, clip):
                    break
        return model, False


def _only_reader(model: Any, node: NodeProto) -> NodeProto | None:
    readers = model.find_consumers(node.output[0]) or []
    return readers[0] if len(readers) == 1 else None


def _fuse(model: Any, branch: NodeProto, add: NodeProto, slot: int, clip: NodeProto) -> bool:
    """Put the join in the place of its nodes; whether that is the same."""
    residual, total = (model.get_tensor_datatype(name) for name in (add.input[slot], clip.output[0]))
    shapes = [model.get_tensor_shape(name) for name in (branch.input[0], add.input[slot], clip.output[0])]
    highest = _largest_count(model, branch)
    if highest is None or residual.bitwidth() > LARGEST_RESIDUAL or not (residual.signed() and total.signed()) or not shapes[0] == shapes[1] == shapes[2]:
        return False
    channels = shapes[0][-1]
    levels = [_levels(model, node, channels) for node in (branch, clip)]
    line = affine(*levels[0], highest)
    if line is None or not same(line, levels, highest, residual, total):
        return False
    readers = model.find_consumers(clip.output[0]) or []
    sign = [node for node in readers if _is_sign(model, node)][:1]
    if len(readers) == len(sign) and clip.output[0] not in (output.name for output in model.graph.output):
        return False  # nobody would read the sum
    _insert(model, line, (branch, add, clip, *sign), (branch.input[0], add.input[slot]))
    return True


def _largest_count(model: Any, branch: NodeProto) -> int | None:
    """The largest value that the branch's thresholds can meet; None where they can be negative."""
    producer = model.find_producer(branch.input[0])
    if producer is not None and producer.op_type == "MVAU" and getHWCustomOp(producer).get_nodeattr("binaryXnorMode"):
        return int(getHWCustomOp(producer).get_nodeattr("MW"))
    datatype = model.get_tensor_datatype(branch.input[0])
    return int(datatype.max()) if datatype.is_integer() and not datatype.signed() else None


def _levels(model: Any, node: NodeProto, channels: int) -> tuple[Ints, int]:
    """Thresholds (channels, steps) and the value below the first of them."""
    levels = np.rint(model.get_initializer(node.input[1])).astype(np.int64)
    return np.broadcast_to(levels, (channels, levels.shape[1])), int(getHWCustomOp(node).get_nodeattr("ActVal"))


def _is_sign(model: Any, node: NodeProto) -> bool:
    if node.op_type != "Thresholding" or model.get_tensor_datatype(node.output[0]) != DataType["BINARY"]:
        return False
    return not np.any(model.get_initializer(node.input[1]))


def affine(levels: Ints, bias: int, highest: int) -> Affine | None:
    """The lines of which thresholds are the steps: step k, from 1 on, is reached where the line reaches ``bias + k``.

    Args:
        levels: (channels, steps), ascending.
        bias: value below the first threshold.
        highest: largest count, the smallest is 0.

    Returns:
        The lines with the least shift that serves all channels, or None where a channel's thresholds lie on none.
    """
    steps = bias + 1 + np.arange(levels.shape[1])
    reached = np.clip(levels, 0, highest + 1)
    shift = 0
    for row in reached:
        while _factors(row, steps, highest, shift) is None:
            shift += 1
            if shift > LARGEST_SHIFT:
                return None
    factors = np.array([_factors(row, steps, highest, shift) for row in reached], np.int64)
    offsets = [_offset(row, steps, highest, shift, int(f)) for row, f in zip(reached, factors, strict=True)]
    return Affine(factors, np.array(offsets, np.int64), shift)


def _factors(row: Ints, steps: Ints, highest: int, shift: int) -> int | None:
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
    most = (rises[above] // runs[above]).min(initial=LARGEST_FACTOR)
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
    """Put the join in the place of ``nodes``: thresholds, sum, clip, and perhaps the sign."""
    clip, sign = nodes[2], nodes[3:]
    counts, residual = (model.get_tensor_datatype(name).name for name in inputs)
    shape = model.get_tensor_shape(clip.output[0])
    outputs = [clip.output[0], *(node.output[0] for node in sign)]
    join = helper.make_node(
        "ResidualJoin_rtl",
        list(inputs),
        outputs,
        domain=RTL_DOMAIN,
        backend="fpgadataflow",
        doc_string=clip.doc_string,
        NumChannels=shape[-1],
        numInputVectors=shape[:-1],
        PE=1,
        inputDataType=counts,
        residualDataType=residual,
        outputDataType=model.get_tensor_datatype(clip.output[0]).name,
        Factors=line.factors.tolist(),
        Offsets=line.offsets.tolist(),
        Shift=line.shift,
    )
    place = list(model.graph.node).index(clip)
    model.graph.node.insert(place, join)
    for node in nodes:
        model.graph.node.remove(node)
