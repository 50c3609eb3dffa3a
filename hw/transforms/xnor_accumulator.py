# SPDX-License-Identifier: Apache-2.0
"""The output type of XNOR matrix-vector units."""

from __future__ import annotations

from typing import Any

from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation


class SizeXnorAccumulators(Transformation):
    """Give every XNOR matrix-vector unit the unsigned type that holds a popcount of 0 .. MW.

    FINN's ``MinimizeAccumulatorWidth`` sizes it for weights of -1 and +1, so 144 agreeing bits would have to fit
    into INT8 and wrap to -112 in compiled code and hardware, though not in Python.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Correct every unit; the second result says whether there was one to correct."""
        changed = False
        for node in model.graph.node:
            if not node.op_type.startswith(("MVAU", "XnorMVAU")):
                continue
            unit = getCustomOp(node)
            if not unit.get_nodeattr("binaryXnorMode") or not unit.get_nodeattr("noActivation"):
                continue
            popcount = DataType[f"UINT{unit.get_nodeattr('MW').bit_length()}"]
            if unit.get_nodeattr("outputDataType") == popcount.name == unit.get_nodeattr("accDataType"):
                continue
            unit.set_nodeattr("accDataType", popcount.name)
            unit.set_nodeattr("outputDataType", popcount.name)
            model.set_tensor_datatype(node.output[0], popcount)
            changed = True
        return model, changed
