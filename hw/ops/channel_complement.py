# SPDX-License-Identifier: Apache-2.0
"""The bitwise complement of some channels: what turns rising thresholds into falling ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from hw.ops.channel_op import ChannelOp
from hw.ops.wrapper import Cell


class ChannelComplement_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Every element of the channels that Mask, 0 or 1 a channel, names: 1 - v of a bit, -1 - v of a signed integer.

    FINN has it as an exclusive-or with a constant, without RTL.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes as FINN describes them: (type, required, default)."""
        return {**super().get_nodeattr_types(), "Mask": ("ints", True, [])}

    def output_channels(self) -> int:
        """See ChannelOp.output_channels."""
        return self.number("NumChannels")

    def check(self) -> None:
        """See CellOp.check."""
        self.check_divides("PE", "NumChannels")
        if len(self.numbers("Mask")) != self.number("NumChannels") or not set(self.numbers("Mask")) <= {0, 1}:
            raise self.refuse("Mask must have 0 or 1 for each of the NumChannels")
        datatype = self.get_input_datatype()
        if not datatype.is_integer() or datatype.name == "BIPOLAR":
            raise self.refuse(f"complements {datatype.name}; only integers have a complement")

    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        """See CellOp.execute_python."""
        values, datatype = context[self.onnx_node.input[0]], self.get_input_datatype()
        complement = datatype.min() + datatype.max() - values
        context[self.onnx_node.output[0]] = np.where(self.numbers("Mask"), complement, values).astype(np.float32)

    def cell(self) -> Cell:
        """See CellOp.cell."""
        channels = self.number("NumChannels")
        mask = sum(bit << channel for channel, bit in enumerate(self.numbers("Mask")))
        parameters: dict[str, int | str] = {
            "PE": self.number("PE"),
            "Width": self.in_bits(),
            "Channels": channels,
            "Mask": f"{channels}'h{mask:x}",
        }
        return Cell("channel_complement", parameters)

    def lut_estimation(self, fpgapart: str) -> int:
        """An exclusive-or an element, the mask in LUTs, which takes more where it is deep, counter and handshake."""
        beats = self.number("NumChannels") // self.number("PE")
        mask = 1 if beats <= 64 else beats // 16
        return self.number("PE") * (self.in_bits() + mask) + 4
