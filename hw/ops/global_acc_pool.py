# SPDX-License-Identifier: Apache-2.0
"""Sum over all pixels of a frame: the global average pool, whose division is a scale."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.globalaccpool import GlobalAccPool
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node
from hw.ops.cost import lut_ram
from hw.ops.pool import FUNCTION_CODES


class GlobalAccPool_rtl(CellOp, GlobalAccPool):  # noqa: N801  FINN's naming
    """Sum of every channel over the pixels of a frame: a pool whose tile is a row of them all."""

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
        frames, height, width = self.numbers("numInputVectors")
        parameters = {
            "PE": self.number("PE"),
            "Channels": self.number("NumChannels"),
            "InWidth": self.in_bits(),
            "OutWidth": self.out_bits(),
            "Signed": int(self.get_input_datatype().signed()),
            "Height": frames,
            "Width": height * width,
            "KernelHeight": 1,
            "KernelWidth": height * width,
            "Func": FUNCTION_CODES["AccPool"],
            "Shift": 0,
        }
        return Cell("tile_pool", parameters)

    def cost(self, part: str) -> Cost:
        """An adder for each channel of a beat, the accumulators in LUT RAM, and two counters."""
        width = self.number("PE") * self.out_bits()
        return Cost(lut=width + lut_ram(width, self.number("NumChannels") // self.number("PE")) + 20)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        frames, height, width = node.numbers("numInputVectors")
        pixels, channels = height * width, node.number("NumChannels")
        emit.compute(node, "tile_pool", ["Sum", frames, pixels, channels, 1, pixels, 0, node.sum_bits()])
