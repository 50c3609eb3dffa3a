# SPDX-License-Identifier: Apache-2.0
"""Padding in front of a lowered convolution becomes the window generator's own padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import get_by_name

from hw.transforms.rewriting import Rewriting, makes_channels_last, only_consumer


class FoldPaddingIntoIm2Col(Rewriting):
    """Turn ``Pad -> Transpose(NHWC) -> Im2Col`` into ``Transpose -> Im2Col(pad_amount, pad_value)``.

    Only constant padding of height and width in front of a window without padding of its own is folded, and only
    where nothing else reads the padded tensor. The padding value has to be an integer, as Im2Col's attribute is.
    """

    at = ("Pad",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Fold a padding."""
        transpose = only_consumer(model, node.output[0], "Transpose")
        if transpose is None or not makes_channels_last(transpose):
            return False
        im2col = only_consumer(model, transpose.output[0], "Im2Col")
        padding = _constant_padding(model, node)
        if im2col is None or padding is None:
            return False
        window = getCustomOp(im2col)
        if any(window.get_nodeattr("pad_amount")):
            return False
        amounts, value = padding
        batch, channels, height, width = model.get_tensor_shape(node.input[0])
        window.set_nodeattr("pad_amount", amounts)
        window.set_nodeattr("pad_value", value)
        window.set_nodeattr("input_shape", f"({batch},{height},{width},{channels})")
        transpose.input[0] = node.input[0]
        model.set_tensor_shape(transpose.output[0], [batch, height, width, channels])
        model.graph.node.remove(node)
        return True


def _constant_padding(model: Any, pad: Any) -> tuple[list[int], int] | None:
    """([top, left, bottom, right], value) of a constant spatial padding of an NCHW tensor, otherwise None."""
    mode = get_by_name(pad.attribute, "mode")
    if mode is not None and mode.s != b"constant":
        return None
    amounts = model.get_initializer(pad.input[1])
    value = model.get_initializer(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(())
    if amounts is None or value is None or len(amounts) != 8 or float(value) != int(value):
        return None
    sides = amounts.reshape(2, 4)  # before and after, along batch, channels, height and width
    return None if sides[:, :2].any() or sides.min() < 0 else (sides[:, 2:].ravel().tolist(), int(value))
