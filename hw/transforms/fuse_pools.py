# SPDX-License-Identifier: Apache-2.0
"""Window generator and pool become one node, where windows do not overlap."""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp
from onnx import helper
from typing_extensions import override

from hw.ops.cell_op import RTL_DOMAIN
from hw.transforms.rewriting import Rewriting, only_consumer, replace


class FuseTilePools(Rewriting):
    """Turn ``ConvolutionInputGenerator -> Pool`` into TilePool_rtl, where the stride is the size of the windows.

    Padding stays a node in front. Windows that overlap, leave pixels out between them or are dilated stay.
    """

    at = ("ConvolutionInputGenerator",)

    @override
    def rewrite(self, model: Any, node: Any) -> bool:
        pool, window = only_consumer(model, node.output[0], "Pool"), getHWCustomOp(node)
        kernel, stride, dilation = (
            [int(n) for n in window.get_nodeattr(name)] for name in ("ConvKernelDim", "Stride", "Dilation")
        )
        if pool is not None and kernel == stride and set(dilation) == {1}:
            pooling = getHWCustomOp(pool)
            shape = model.get_tensor_shape(node.input[0])
            fused = helper.make_node(
                "TilePool_rtl",
                list(node.input),
                list(pool.output),
                domain=RTL_DOMAIN,
                backend="fpgadataflow",
                doc_string=pool.doc_string,
                NumChannels=shape[-1],
                numInputVectors=shape[:-1],
                PE=1,
                inputDataType=pooling.get_input_datatype().name,
                outputDataType=pooling.get_output_datatype().name,
                KernelSize=kernel,
                Function=pooling.get_nodeattr("Function"),
            )
            replace(model, pool, fused)
            model.graph.node.remove(node)
        return False
