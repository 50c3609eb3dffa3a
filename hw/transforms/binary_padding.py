# SPDX-License-Identifier: Apache-2.0
"""The padding value of windows whose elements have become single bits."""

from __future__ import annotations

from typing import Any

from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from hw.transforms.rewriting import Rewriting


class UseBinaryPadding(Rewriting):
    """Rewrite padding value -1 as 0 in every Im2Col that reads BINARY values.

    ``ConvertBipolarMatMulToXnorPopcount`` changes the encoding of the stream from -1/+1 to 0/1 but does not look at
    the padding of the windows in between.
    """

    at = ("Im2Col",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Rewrite a window's padding.

        Raises:
            ValueError: a window pads BINARY values with something else than -1 or 0; zero padding of bipolar
                values would silently become padding with -1.
        """
        window = getCustomOp(node)
        value = window.get_nodeattr("pad_value")
        if model.get_tensor_datatype(node.input[0]) != DataType["BINARY"]:
            return False
        if not any(window.get_nodeattr("pad_amount")) or value == 0:
            return False
        if value != -1:
            raise ValueError(f"{node.name}: padding value {value} is no bipolar value")
        window.set_nodeattr("pad_value", 0)
        return True
