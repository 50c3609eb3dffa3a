# SPDX-License-Identifier: Apache-2.0
"""Zero channels before and after: the shortcut of a down-sampling block (option A)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hw.ops.channel_op import ChannelOp
from hw.ops.wrapper import Cell


class ChannelPad_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Every pixel widened from NumChannels to OutputChannels: the input from channel Offset on, zeros around.

    FINN has no such operator: its option A is a matrix multiplication by a 0/1 selection matrix.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes as FINN describes them: (type, required, default)."""
        return {**super().get_nodeattr_types(), "OutputChannels": ("i", True, 0), "Offset": ("i", True, 0)}

    def output_channels(self) -> int:
        """See ChannelOp.output_channels."""
        return self.number("OutputChannels")

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
