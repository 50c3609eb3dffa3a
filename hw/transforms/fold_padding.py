# SPDX-License-Identifier: Apache-2.0
"""Padding in front of a lowered convolution becomes the window generator's own padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name

NCHW_TO_NHWC = [0, 2, 3, 1]


class FoldPaddingIntoIm2Col(Transformation):
    """Turn ``Pad -> Transpose(NHWC) -> Im2Col`` into ``Transpose -> Im2Col(pad_amount, pad_value)``.

    Only constant padding of height and width in front of a window without padding of its own is folded, and only
    where nothing else reads the padded tensor. The padding value has to be an integer, as Im2Col's attribute is.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Fold every padding that matches; the second result says whether there was one."""
        changed = False
        for pad in list(model.get_nodes_by_op_type("Pad")):
            changed |= _fold(model, pad)
        return model, changed


def _fold(model: Any, pad: Any) -> bool:
    transpose = _only_consumer(model, pad.output[0])
    if transpose is None or transpose.op_type != "Transpose":
        return False
    if list(get_by_name(transpose.attribute, "perm").ints) != NCHW_TO_NHWC:
        return False
    im2col = _only_consumer(model, transpose.output[0])
    padding = _constant_padding(model, pad)
    if im2col is None or im2col.op_type != "Im2Col" or padding is None:
        return False
    window = getCustomOp(im2col)
    if any(window.get_nodeattr("pad_amount")):
        return False
    amounts, value = padding
    batch, channels, height, width = model.get_tensor_shape(pad.input[0])
    window.set_nodeattr("pad_amount", amounts)
    window.set_nodeattr("pad_value", value)
    window.set_nodeattr("input_shape", f"({batch},{height},{width},{channels})")
    transpose.input[0] = pad.input[0]
    model.set_tensor_shape(transpose.output[0], [batch, height, width, channels])
    model.graph.node.remove(pad)
    return True


def _only_consumer(model: Any, tensor: str) -> Any:
    """The node that reads ``tensor``, or None when there is none, or more than one, or it is a graph output."""
    consumers = model.find_consumers(tensor)
    is_output = any(output.name == tensor for output in model.graph.output)
    return consumers[0] if len(consumers) == 1 and not is_output else None


def _constant_padding(model: Any, pad: Any) -> tuple[list[int], int] | None:
    """([top, left, bottom, right], value) of a constant spatial padding of an NCHW tensor, otherwise None."""
    mode = get_by_name(pad.attribute, "mode")
    if mode is not None and mode.s != b"constant":
        return None
    amounts = model.get_initializer(pad.input[1])
    value = model.get_initializer(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(())
    if amounts is None or value is None or len(amounts) != 8 or float(value) != int(value):
        return None
    before, after = amounts[:4], amounts[4:]
    if any(before[:2]) or any(after[:2]) or min(amounts) < 0:
        return None
    return [int(before[2]), int(before[3]), int(after[2]), int(after[3])], int(value)
