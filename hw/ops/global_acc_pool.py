# SPDX-License-Identifier: Apache-2.0
"""Sum over all pixels of a frame: the global average pool, whose division is a scale."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.globalaccpool import GlobalAccPool

from hw.ops.cell_op import CellOp
from hw.ops.estimates import lut_ram
from hw.ops.wrapper import Cell


class GlobalAccPool_rtl(CellOp, GlobalAccPool):  # noqa: N801  FINN's naming
    """Sum of every channel over the pixels of a frame."""

    def check(self) -> None:
        """See CellOp.check."""
        self.check_divides("PE", "NumChannels")
        if len(self.numbers("numInputVectors")) != 3:
            raise self.refuse("numInputVectors must be (batch, height, width)")
        datatype = self.get_input_datatype()
        if not datatype.is_integer() or datatype.name == "BIPOLAR":
            raise self.refuse(f"sums {datatype.name}; only integers can be summed")

    def cell(self) -> Cell:
        """See CellOp.cell."""
        _, height, width = self.numbers("numInputVectors")
        parameters = {
            "Channels": self.number("NumChannels"),
            "PE": self.number("PE"),
            "InWidth": self.in_bits(),
            "OutWidth": self.out_bits(),
            "Signed": int(self.get_input_datatype().signed()),
            "Pixels": height * width,
        }
        return Cell("global_acc_pool", parameters)

    def get_exp_cycles(self) -> int:
        """One cycle an input beat: the sums leave while the last pixel enters."""
        return self.vectors() * (self.number("NumChannels") // self.number("PE"))

    def lut_estimation(self, fpgapart: str) -> int:
        """An adder for each channel of a beat, the accumulators in LUT RAM, and two counters."""
        width = self.number("PE") * self.out_bits()
        return width + lut_ram(width, self.number("NumChannels") // self.number("PE")) + 16
