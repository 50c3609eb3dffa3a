# SPDX-License-Identifier: Apache-2.0
"""Index of the largest value: top-1 on the device."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.labelselect import LabelSelect
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node


class LabelSelect_rtl(CellOp, LabelSelect):  # noqa: N801  FINN's naming
    """Index of the maximum; among equal values the first, as ONNX TopK does. K must be 1."""

    generic = ("LabelSelect",)
    label, role = "top-1", "compute"
    divides = (("PE", "Labels"),)

    @override
    def check(self) -> None:
        if self.number("K") != 1:
            raise self.refuse(f"K = {self.number('K')}; only the best label (K = 1) can be selected")
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        self.check_integer(idt, "compares")
        if odt.signed() or odt.max() < self.number("Labels") - 1:
            raise self.refuse(f"outputDataType {odt.name} cannot hold {self.number('Labels')} labels")

    @override
    def cell(self) -> Cell:
        parameters = {
            "Labels": self.number("Labels"),
            "PE": self.number("PE"),
            "InWidth": self.in_bits(),
            "Signed": int(self.get_input_datatype().signed()),
            "IdxWidth": self.out_bits(),
        }
        return Cell("label_select", parameters)

    def cost(self, part: str) -> Cost:
        """A comparator for the beat, and a comparator and a multiplexer for each further value of it."""
        bits = self.in_bits()
        return Cost(lut=bits // 2 + 17 + (self.number("PE") - 1) * (bits * 3 // 2 + 7))

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        if node.number("K") != 1:
            raise node.refuse(f"K = {node.number('K')}", "only the best label (K = 1) can be selected")
        if node.output_type(0).high < node.number("Labels") - 1:
            raise node.refuse(f"{node.output_type(0).name} cannot hold {node.number('Labels')} labels")
        emit.compute(node, "label_select", [node.pixels(), node.number("Labels")])
