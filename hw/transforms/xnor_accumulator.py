# SPDX-License-Identifier: Apache-2.0
"""The output type of XNOR matrix-vector units."""

from __future__ import annotations

from typing import Any

from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from hw.ops.xnor_mvau import set_sums
from hw.transforms.rewriting import Rewriting


class SizeXnorAccumulators(Rewriting):
    """Give every XNOR matrix-vector unit the unsigned type that holds a popcount of 0 .. MW.

    FINN's ``MinimizeAccumulatorWidth`` sizes it for weights of -1 and +1, so 144 agreeing bits would have to fit
    into INT8 and wrap to -112 in compiled code and hardware, though not in Python.
    """

    at = ("MVAU",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Size a unit."""
        unit = getCustomOp(node)
        if not unit.get_nodeattr("binaryXnorMode") or not unit.get_nodeattr("noActivation"):
            return False
        popcount = DataType[f"UINT{unit.get_nodeattr('MW').bit_length()}"]
        if unit.get_nodeattr("outputDataType") == popcount.name == unit.get_nodeattr("accDataType"):
            return False
        set_sums(model, unit, popcount)
        return True
