# SPDX-License-Identifier: Apache-2.0
"""Padding and window generator of a binary convolution become one node."""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.transformation.base import Transformation

from hw.ops.cell_op import RTL_DOMAIN

LARGEST_WINDOW = 1152
"""Bits: a unit that takes whole windows has at least a lane for each, which is too much for slow and wide networks."""


class FuseBinaryWindows(Transformation):
    """Turn ``FMPadding -> ConvolutionInputGenerator`` of BINARY pixels into BinaryWindow_rtl.

    Windows that are no squares, dilated or in a pool's order, and those of more than LARGEST_WINDOW bits stay.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Rewrite every window that fits; the second result is False, one pass is enough."""
        for window in list(model.get_nodes_by_op_type("ConvolutionInputGenerator")):
            if model.get_tensor_datatype(window.input[0]) == DataType["BINARY"]:
                _fuse(model, window)
        return model, False


def _fuse(model: Any, window: NodeProto) -> None:
    generator = getHWCustomOp(window)
    (kernel, kernel_width), (stride, stride_width) = (
        [int(n) for n in generator.get_nodeattr(name)] for name in ("ConvKernelDim", "Stride")
    )
    channels = int(generator.get_nodeattr("IFMChannels"))
    plain = not generator.get_nodeattr("depthwise") and set(generator.get_nodeattr("Dilation")) == {1}
    if kernel != kernel_width or stride != stride_width or not plain or kernel**2 * channels > LARGEST_WINDOW:
        return
    pad = _padding_before(model, window)
    top, left, *_ = getHWCustomOp(pad).get_nodeattr("Padding") if pad is not None else (0, 0)
    source = window.input[0] if pad is None else pad.input[0]
    shape = model.get_tensor_shape(source)
    if kernel < 2 or top != left or top >= kernel or shape[2] < 2:
        return
    node = helper.make_node(
        "BinaryWindow_rtl",
        [source],
        list(window.output),
        domain=RTL_DOMAIN,
        backend="fpgadataflow",
        doc_string=window.doc_string,
        NumChannels=channels,
        numInputVectors=shape[:-1],
        PE=channels,
        inputDataType="BINARY",
        Kernel=kernel,
        Stride=stride,
        Padding=int(top),
        OFMDim=[int(n) for n in generator.get_nodeattr("OFMDim")],
    )
    model.graph.node.insert(list(model.graph.node).index(window), node)
    for old in (window, pad):
        if old is not None:
            model.graph.node.remove(old)


def _padding_before(model: Any, window: NodeProto) -> NodeProto | None:
    """The node that pads for this window alone."""
    producer = model.find_producer(window.input[0])
    alone = producer is not None and len(model.find_consumers(window.input[0])) == 1
    return producer if alone and producer.op_type == "FMPadding" else None
