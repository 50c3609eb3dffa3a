# SPDX-License-Identifier: Apache-2.0
"""Sum over all pixels of a frame: the global average pool, whose division is a scale."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.globalaccpool import GlobalAccPool
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node
from hw.ops.cost import lut_ram


class GlobalAccPool_rtl(CellOp, GlobalAccPool):  # noqa: N801  FINN's naming
    """Sum of every channel over the pixels of a frame."""

    generic = ("GlobalAccPool",)
    label, role = "global pool", "compute"
    divides = (("PE", "NumChannels"),)

    @override
    def check(self) -> None:
        if len(self.numbers("numInputVectors")) != 3:
            raise self.refuse("numInputVectors must be (batch, height, width)")
        self.check_integer(self.get_input_datatype(), "sums")

    @override
    def cell(self) -> Cell:
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

    def cost(self, part: str) -> Cost:
        """An adder for each channel of a beat, the accumulators in LUT RAM, and two counters."""
        width = self.number("PE") * self.out_bits()
        return Cost(lut=width + lut_ram(width, self.number("NumChannels") // self.number("PE")) + 16)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        frames, height, width = node.numbers("numInputVectors")
        parameters = [frames, height * width, node.number("NumChannels"), node.sum_bits()]
        emit.compute(node, "global_sum", parameters)
