# SPDX-License-Identifier: Apache-2.0
"""Padding and window generator of a convolution become one node."""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from qonnx.core.datatype import DataType
from typing_extensions import override

from hw.transforms.rewriting import Rewriting, only_consumer, replace_by_rtl

LARGEST_WINDOW = 1152
"""Bits: a unit that takes whole windows has at least a lane for each, which is too much for slow and wide networks."""


class FuseBinaryWindows(Rewriting):
    """Turn ``FMPadding -> ConvolutionInputGenerator`` of BINARY pixels into BinaryWindow_rtl.

    What ``whole_window`` cannot make stays, and windows of more than LARGEST_WINDOW bits.
    """

    at = ("ConvolutionInputGenerator",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        bits = model.get_tensor_shape(node.output[0])[-1]
        if model.get_tensor_datatype(node.output[0]) == DataType["BINARY"] and bits <= LARGEST_WINDOW:
            whole_window(model, node)
        return False


def whole_window(model: Any, node: NodeProto) -> bool:
    """Put BinaryWindow_rtl in the place of a window generator and the padding in front of it; whether it was done."""
    return _own_window(model, node, "BinaryWindow_rtl", PE=getHWCustomOp(node).get_nodeattr("IFMChannels"))


def folded_window(model: Any, node: NodeProto) -> bool:
    """Put FoldedWindow_rtl there, where the pixels are no bits; whether it was done."""
    if model.get_tensor_datatype(node.output[0]).bitwidth() == 1:
        return False
    return _own_window(model, node, "FoldedWindow_rtl", PE=getHWCustomOp(node).get_nodeattr("SIMD"))


def _own_window(model: Any, node: NodeProto, op_type: str, **folding: int) -> bool:
    """Windows that are no squares, dilated or in a pool's order stay."""
    window = getHWCustomOp(node)
    (kernel, kernel_width), (stride, stride_width), dilation = map(
        window.get_nodeattr, ("ConvKernelDim", "Stride", "Dilation")
    )
    pad = model.find_producer(node.input[0])
    if pad is not None and (pad.op_type != "FMPadding" or not only_consumer(model, node.input[0], node.op_type)):
        pad = None
    top, left, *_ = getHWCustomOp(pad).get_nodeattr("Padding") if pad is not None else (0, 0)
    source = node.input[0] if pad is None else pad.input[0]
    shape = model.get_tensor_shape(source)
    square = kernel == kernel_width and stride == stride_width and top == left < kernel
    plain = set(dilation) == {1} and not window.get_nodeattr("depthwise")
    if not square or not plain or kernel < 2 or shape[2] < 2:
        return False
    geometry = {"Kernel": int(kernel), "Stride": int(stride), "Padding": int(top)}
    dims = [int(n) for n in window.get_nodeattr("OFMDim")]
    replace_by_rtl(model, node, op_type, [source], node.output, OFMDim=dims, **geometry, **folding)
    if pad is not None:
        model.graph.node.remove(pad)
    return True
