# SPDX-License-Identifier: Apache-2.0
"""Padding and window generator of a binary convolution become one node."""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp
from onnx import helper
from qonnx.core.datatype import DataType
from typing_extensions import override

from hw.ops.cell_op import RTL_DOMAIN
from hw.transforms.rewriting import Rewriting, only_consumer, replace

LARGEST_WINDOW = 1152
"""Bits: a unit that takes whole windows has at least a lane for each, which is too much for slow and wide networks."""


class FuseBinaryWindows(Rewriting):
    """Turn ``FMPadding -> ConvolutionInputGenerator`` of BINARY pixels into BinaryWindow_rtl.

    Windows that are no squares, dilated or in a pool's order, and those of more than LARGEST_WINDOW bits stay.
    """

    at = ("ConvolutionInputGenerator",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        window = getHWCustomOp(node)
        (kernel, kernel_width), (stride, stride_width), dilation, channels = map(
            window.get_nodeattr, ("ConvKernelDim", "Stride", "Dilation", "IFMChannels")
        )
        pad = model.find_producer(node.input[0])
        if pad is not None and (pad.op_type != "FMPadding" or not only_consumer(model, node.input[0], node.op_type)):
            pad = None
        top, left, *_ = getHWCustomOp(pad).get_nodeattr("Padding") if pad is not None else (0, 0)
        source = node.input[0] if pad is None else pad.input[0]
        shape = model.get_tensor_shape(source)
        square = kernel == kernel_width and stride == stride_width and top == left < kernel
        plain = model.get_tensor_datatype(source) == DataType["BINARY"] and not window.get_nodeattr("depthwise")
        fits = kernel >= 2 and kernel**2 * channels <= LARGEST_WINDOW and shape[2] >= 2
        if square and plain and fits and set(dilation) == {1}:
            fused = helper.make_node(
                "BinaryWindow_rtl",
                [source],
                list(node.output),
                domain=RTL_DOMAIN,
                backend="fpgadataflow",
                doc_string=node.doc_string,
                NumChannels=channels,
                numInputVectors=shape[:-1],
                PE=channels,
                inputDataType="BINARY",
                Kernel=int(kernel),
                Stride=int(stride),
                Padding=int(top),
                OFMDim=[int(n) for n in window.get_nodeattr("OFMDim")],
            )
            replace(model, node, fused)
            if pad is not None:
                model.graph.node.remove(pad)
        return False
