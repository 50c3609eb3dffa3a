# SPDX-License-Identifier: Apache-2.0
"""Zero channels before and after: the shortcut of a down-sampling block (option A)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qonnx.core.datatype import BaseDataType, DataType

from hw.ops.cell_op import CellOp
from hw.ops.wrapper import Cell


class ChannelPad_rtl(CellOp):  # noqa: N801  FINN's naming
    """Every pixel widened from NumChannels to OutputChannels: the input from channel Offset on, zeros around.

    FINN has no such operator: its option A is a matrix multiplication by a 0/1 selection matrix.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes as FINN describes them: (type, required, default)."""
        return {
            **super().get_nodeattr_types(),
            "NumChannels": ("i", True, 0),
            "OutputChannels": ("i", True, 0),
            "Offset": ("i", True, 0),
            "PE": ("i", True, 1),
            "inputDataType": ("s", True, ""),
            "numInputVectors": ("ints", False, [1]),
        }

    def check(self) -> None:
        """See CellOp.check."""
        before = self.number("Offset")
        after = self.number("OutputChannels") - self.number("NumChannels") - before
        if before < 0 or after < 0:
            raise self.refuse(f"Offset = {before} leaves no room for NumChannels in OutputChannels")
        for attribute in ("NumChannels", "OutputChannels", "Offset"):
            self.check_divides("PE", attribute)
        if not self.get_input_datatype().allowed(0):
            raise self.refuse(f"{self.text('inputDataType')} has no zero to pad with")

    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        """See CellOp.execute_python."""
        first = self.number("Offset")
        padded = np.zeros(self.get_normal_output_shape(), dtype=np.float32)
        padded[..., first : first + self.number("NumChannels")] = context[self.onnx_node.input[0]]
        context[self.onnx_node.output[0]] = padded

    def infer_node_datatype(self, model: Any) -> None:
        """The output has the input's datatype."""
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(self.onnx_node.input[0]).name)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        """Datatype of the input."""
        return DataType[self.text("inputDataType")]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        """Datatype of the output, the input's."""
        return self.get_input_datatype()

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., NumChannels)."""
        return (*self.numbers("numInputVectors"), self.number("NumChannels"))

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., OutputChannels)."""
        return (*self.numbers("numInputVectors"), self.number("OutputChannels"))

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., NumChannels / PE, PE)."""
        return self._folded("NumChannels")

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., OutputChannels / PE, PE)."""
        return self._folded("OutputChannels")

    def get_instream_width(self, ind: int = 0) -> int:
        """Bits of an input beat, without padding."""
        return self.number("PE") * self.in_bits()

    def get_outstream_width(self, ind: int = 0) -> int:
        """Bits of an output beat, without padding."""
        return self.get_instream_width()

    def get_exp_cycles(self) -> int:
        """One cycle an output beat."""
        return math.prod(self.get_folded_output_shape()[:-1])

    def cell(self) -> Cell:
        """See CellOp.cell."""
        parameters = {
            "PE": self.number("PE"),
            "Width": self.in_bits(),
            "ChIn": self.number("NumChannels"),
            "ChOut": self.number("OutputChannels"),
            "Offset": self.number("Offset"),
        }
        return Cell("channel_pad", parameters)

    def lut_estimation(self, fpgapart: str) -> int:
        """The beat counter and the handshake; the data passes through flip-flops with a clear."""
        return 8

    def _folded(self, channels: str) -> tuple[int, ...]:
        pe = self.number("PE")
        return (*self.numbers("numInputVectors"), self.number(channels) // pe, pe)
