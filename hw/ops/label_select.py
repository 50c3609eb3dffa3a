# SPDX-License-Identifier: Apache-2.0
"""Index of the largest value: top-1 on the device."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.labelselect import LabelSelect

from hw.ops.cell_op import CellOp
from hw.ops.wrapper import Cell


class LabelSelect_rtl(CellOp, LabelSelect):  # noqa: N801  FINN's naming
    """Index of the maximum; among equal values the first, as ONNX TopK does. K must be 1."""

    def check(self) -> None:
        """See CellOp.check."""
        if self.number("K") != 1:
            raise self.refuse(f"K = {self.number('K')}; only the best label (K = 1) can be selected")
        self.check_divides("PE", "Labels")
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        if not idt.is_integer() or idt.name == "BIPOLAR":
            raise self.refuse(f"compares {idt.name}; only integers can be compared")
        if odt.signed() or odt.max() < self.number("Labels") - 1:
            raise self.refuse(f"outputDataType {odt.name} cannot hold {self.number('Labels')} labels")

    def cell(self) -> Cell:
        """See CellOp.cell."""
        parameters = {
            "Labels": self.number("Labels"),
            "PE": self.number("PE"),
            "InWidth": self.in_bits(),
            "Signed": int(self.get_input_datatype().signed()),
            "IdxWidth": self.out_bits(),
        }
        return Cell("label_select", parameters)

    def get_number_output_values(self) -> int:
        """One index a vector; FINN's own assumes a single vector."""
        return self.vectors()

    def get_exp_cycles(self) -> int:
        """One cycle an input beat."""
        return self.vectors() * (self.number("Labels") // self.number("PE"))

    def lut_estimation(self, fpgapart: str) -> int:
        """A comparator for the beat, and a comparator and a multiplexer for each further value of it."""
        bits = self.in_bits()
        return bits // 2 + 17 + (self.number("PE") - 1) * (bits * 3 // 2 + 7)
