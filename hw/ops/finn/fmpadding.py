# SPDX-License-Identifier: Apache-2.0
"""Pixels around a picture."""

from __future__ import annotations

from typing_extensions import override

from hw.ops.operator import Cost, Emitter, FinnOperator, Node


class FMPadding(FinnOperator):
    """Zero, as the datatype has it, around each channel."""

    label, role = "pad", "move"
    divides = (("SIMD", "NumChannels"),)

    @override
    def cost(self, part: str) -> Cost:
        return Cost(lut=60 + self.number("SIMD") * self.op.get_input_datatype().bitwidth() / 2)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        channels = node.number("NumChannels")
        x, y = emit.read(node), emit.write(node)
        elements = -(-channels // 64) if x.packed else channels
        emit.call(node, "pad", [*node.numbers("ImgDim"), elements, *node.numbers("Padding")], x, y)
