# SPDX-License-Identifier: Apache-2.0
"""Window generator and pool become one node, where windows do not overlap."""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp
from typing_extensions import override

from hw.transforms.rewriting import Rewriting, only_consumer, replace_by_rtl


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
            kind, function = pooling.get_output_datatype().name, pooling.get_nodeattr("Function")
            attributes = {"outputDataType": kind, "KernelSize": kernel, "Function": function}
            replace_by_rtl(model, pool, "TilePool_rtl", node.input, pool.output, **attributes)
            model.graph.node.remove(node)
        return False
