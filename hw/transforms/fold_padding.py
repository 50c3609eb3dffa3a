# SPDX-License-Identifier: Apache-2.0
"""Padding in front of a lowered convolution becomes the window generator's own padding."""

from __future__ import annotations

from typing import Any

from qonnx.custom_op.registry import getCustomOp

from hw.transforms.rewriting import Rewriting, makes_channels_last, only_consumer


class FoldPaddingIntoIm2Col(Rewriting):
    """Turn ``Pad -> Transpose(NHWC) -> Im2Col`` into ``Transpose -> Im2Col(pad_amount, pad_value)``.

    Only padding of height and width in front of a window without padding of its own is folded, and only where nothing
    else reads the padded tensor. ``integerise`` has made the value a constant integer, as Im2Col's attribute is.
    """

    at = ("Pad",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Fold a padding."""
        transpose = only_consumer(model, node.output[0], "Transpose")
        if transpose is None or not makes_channels_last(transpose):
            return False
        im2col = only_consumer(model, transpose.output[0], "Im2Col")
        sides = model.get_initializer(node.input[1]).reshape(2, 4)  # before and after, along each axis
        if im2col is None or sides[:, :2].any() or sides.min() < 0:
            return False
        window = getCustomOp(im2col)
        if any(window.get_nodeattr("pad_amount")):
            return False
        batch, channels, height, width = model.get_tensor_shape(node.input[0])
        window.set_nodeattr("pad_amount", sides[:, 2:].ravel().tolist())
        window.set_nodeattr("pad_value", int(model.get_initializer(node.input[2])))
        window.set_nodeattr("input_shape", f"({batch},{height},{width},{channels})")
        transpose.input[0] = node.input[0]
        model.set_tensor_shape(transpose.output[0], [batch, height, width, channels])
        model.graph.node.remove(node)
        return True
