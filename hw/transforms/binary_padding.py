# SPDX-License-Identifier: Apache-2.0
"""The padding value of windows whose elements have become single bits."""

from __future__ import annotations

from typing import Any

from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation


class UseBinaryPadding(Transformation):
    """Rewrite padding value -1 as 0 in every Im2Col that reads BINARY values.

    ``ConvertBipolarMatMulToXnorPopcount`` changes the encoding of the stream from -1/+1 to 0/1 but does not look at
    the padding of the windows in between.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Rewrite every such window; the second result says whether there was one.

        Raises:
            ValueError: a window pads BINARY values with something else than -1 or 0; zero padding of bipolar
                values would silently become padding with -1.
        """
        changed = False
        for node in model.get_nodes_by_op_type("Im2Col"):
            window = getCustomOp(node)
            if model.get_tensor_datatype(node.input[0]) != DataType["BINARY"]:
                continue
            if not any(window.get_nodeattr("pad_amount")) or window.get_nodeattr("pad_value") == 0:
                continue
            if window.get_nodeattr("pad_value") != -1:
                raise ValueError(f"{node.name}: padding value {window.get_nodeattr('pad_value')} is no bipolar value")
            window.set_nodeattr("pad_value", 0)
            changed = True
        return model, changed
