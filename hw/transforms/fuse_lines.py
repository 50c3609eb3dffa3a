# SPDX-License-Identifier: Apache-2.0
"""Thresholds that lie on a line become its multiplication, where that is proven to be the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from finn.util.basic import getHWCustomOp
from typing_extensions import override

from hw.errors import UnsupportedNodeError
from hw.ops.dsp_mvau import sums_of
from hw.ops.requantise import WIDE, Requantise_rtl
from hw.transforms.fuse_joins import Ints, affine, levels_of
from hw.transforms.rewriting import Rewriting, replace, rtl_node

LEAST_STEPS = 3
"""Fewer thresholds are cheaper as they are."""
LARGEST_SHIFT = 32


class FuseLines(Rewriting):
    """Turn ``Thresholding`` into Requantise_rtl: those of a batch norm and a rounding lie on a line.

    Each channel's factor and offset are found, and tried right below and at every threshold that can be reached;
    between these neither changes. What lies on none, or takes more bits than a DSP block has, stays.
    """

    at = ("Thresholding",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        shape = model.get_tensor_shape(node.input[0])
        taken, given = (model.get_tensor_datatype(name) for name in (node.input[0], node.output[0]))
        levels, bias = levels_of(model, node, shape[-1])
        whole = given.is_integer() and (bias, bias + levels.shape[1]) == (given.min(), given.max())
        if not taken.is_integer() or not whole or levels.shape[1] < LEAST_STEPS:
            return False
        low, high = _range(model, node.input[0])
        line = affine(levels - low, bias, high - low, largest=(1 << (WIDE - 1)) - 1, shifts=LARGEST_SHIFT)
        if line is None:
            return False
        attributes = {
            "name": node.name,
            "outputDataType": given.name,
            "Factors": line.factors.tolist(),
            "Offsets": (line.offsets - line.factors * low).tolist(),
            "Shift": line.shift,
        }
        requantise = rtl_node(model, node, "Requantise_rtl", node.input[:1], node.output, **attributes)
        if _serves(getHWCustomOp(requantise), levels, bias, (low, high)):
            replace(model, node, requantise)
        return False


def _range(model: Any, tensor: str) -> tuple[int, int]:
    """The least and the largest number that there can be, for sums by what they are sums of: thresholds above all that
    can come were made one more than that, and lie on no line.
    """
    datatype, producer = model.get_tensor_datatype(tensor), model.find_producer(tensor)
    low, high = int(datatype.min()), int(datatype.max())
    if producer is None or producer.op_type not in ("MVAU", "GlobalAccPool"):
        return low, high
    op = getHWCustomOp(producer)
    if producer.op_type == "GlobalAccPool":
        weights = np.ones((np.prod(op.get_nodeattr("numInputVectors")[1:]), 1), np.int64)
    elif op.get_nodeattr("binaryXnorMode"):
        return low, min(high, op.get_nodeattr("MW"))
    else:
        weights = model.get_initializer(producer.input[1]).astype(np.int64)
    least, largest = sums_of(weights, model.get_tensor_datatype(producer.input[0]))
    return max(low, least), min(high, largest)


def _serves(op: Requantise_rtl, levels: Ints, bias: int, ends: tuple[int, int]) -> bool:
    """Whether the cell can do it, and says the same as (channels, steps) thresholds for all between the ends."""
    try:
        op.check()
    except UnsupportedNodeError:
        return False
    tried = np.concatenate([levels, levels - 1], axis=1).clip(*ends)
    expected = [bias + np.searchsorted(*pair, side="right") for pair in zip(levels, tried, strict=True)]
    return np.array_equal(op.apply_to(tried.T).T, expected)
