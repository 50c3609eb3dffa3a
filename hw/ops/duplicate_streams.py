# SPDX-License-Identifier: Apache-2.0
"""Copies of one stream: the fork of a residual block."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, pass_on
from hw.ops.wrapper import bundle, low_bits, zero_padding


class DuplicateStreams_rtl(CellOp, DuplicateStreams):  # noqa: N801  FINN's naming
    """Two to eight copies of a stream; each is taken when its reader likes."""

    generic = ("DuplicateStreams",)
    label, role = "duplicate", "join"
    divides = (("PE", "NumChannels"),)
    kernel = staticmethod(pass_on)

    @override
    def check(self) -> None:
        if self.number("NumOutputStreams") != len(self.onnx_node.output):
            raise self.refuse(f"NumOutputStreams differs from the {len(self.onnx_node.output)} outputs")
        if not 2 <= self.number("NumOutputStreams") <= 8:
            raise self.refuse(f"NumOutputStreams = {self.number('NumOutputStreams')}; 2 to 8 can be made")

    @override
    def cell(self) -> Cell:
        count, bits = self.number("NumOutputStreams"), self.get_instream_width()
        outputs = [f"out{i}_V" for i in range(count)]
        connections = {
            "data_i": low_bits("in0_V", bits),
            "valid_i": "in0_V_TVALID",
            "ready_o": "in0_V_TREADY",
            "data_o": bundle([low_bits(name, bits) for name in outputs]),
            "valid_o": bundle([f"{name}_TVALID" for name in outputs]),
            "ready_i": bundle([f"{name}_TREADY" for name in outputs]),
        }
        padded = self.get_instream_width_padded()
        padding = tuple(line for name in outputs for line in zero_padding(name, bits, padded))
        return Cell("stream_duplicate", {"Width": bits, "NumOutputs": count}, connections, padding)

    def cost(self, part: str) -> Cost:
        """The choice between two registers, the pending bits and what all have taken."""
        return Cost(lut=int(self.get_instream_width()) + 3 * self.number("NumOutputStreams") - 1)
