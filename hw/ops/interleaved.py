# SPDX-License-Identifier: Apache-2.0
"""The order in which FoldedWindow_rtl and FINN's depthwise window generator give windows, for what reads them.

For each pixel it is (channels / SIMD, taps, SIMD), not im2col's (taps, channels); FINN's generic nodes keep im2col's.
"""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp

from hw.ops.cell_op import CellOp
from hw.ops.width_converter import KINDS as CONVERTERS

IM2COL = ("Im2Col", "ConvolutionInputGenerator")
"""Generic nodes whose windows have im2col's order."""


def is_im2col(tensor: str, graph: Any) -> bool:
    """Whether the producer of ``tensor`` is a generic window node, which keeps im2col's order."""
    return any(tensor in node.output and node.op_type in IM2COL for node in graph.node)


def check_interleaving(reader: CellOp, model: Any, folding: str) -> None:
    """Refuse a window generator that does not interleave as many channels as the attribute ``folding`` says."""
    source = model.find_producer(reader.onnx_node.input[0])
    while source is not None and source.op_type.startswith(("StreamingFIFO", "StreamFIFO", *CONVERTERS)):
        source = model.find_producer(source.input[0])
    wanted = reader.number(folding)
    if source is not None and source.op_type == "FoldedWindow_rtl":
        if getHWCustomOp(source).get_nodeattr("PE") != wanted:
            raise reader.refuse(f"{source.name} must have PE = {wanted}")
    elif source is not None and source.op_type == "ConvolutionInputGenerator_rtl":
        generator = getHWCustomOp(source)
        if not generator.get_nodeattr("depthwise") or generator.get_nodeattr("SIMD") != wanted:
            text = "SIMD" if folding == "SIMD" else f"SIMD = {folding}"
            raise reader.refuse(f"{source.name} must have depthwise = 1 and {text} = {wanted}")
