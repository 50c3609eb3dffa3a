# SPDX-License-Identifier: Apache-2.0
"""Pixels left out: the shortcut of a down-sampling block, and any convolution of one pixel with a stride."""

from __future__ import annotations

from typing import Any

from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.operator import Folding


class Subsample_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Every Stride-th row and column of a picture (1, height, width, NumChannels).

    FINN has it as a ConvolutionInputGenerator of one pixel, which keeps whole rows.
    """

    generic = ("ConvolutionInputGenerator",)
    label, role = "subsample", "move"
    divides = (("PE", "NumChannels"),)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        return {**super().get_nodeattr_types(), "Stride": ("ints", True, [])}

    @override
    @classmethod
    def specialise(cls, model: Any, node: NodeProto) -> NodeProto | None:
        window = getHWCustomOp(node)
        if any(size > 1 for size in window.get_nodeattr("ConvKernelDim")):
            return None
        return cls.made_from(
            node,
            NumChannels=window.get_nodeattr("IFMChannels"),
            PE=window.get_nodeattr("SIMD"),
            inputDataType=window.get_nodeattr("inputDataType"),
            numInputVectors=[1, *window.get_nodeattr("IFMDim")],
            Stride=window.get_nodeattr("Stride"),
        )

    @override
    def check(self) -> None:
        if min(self.numbers("Stride")) < 1:
            raise self.refuse("Stride must be at least 1")

    def _kept(self) -> tuple[int, int]:
        """Rows and columns."""
        sizes = zip(self.numbers("numInputVectors")[1:], self.numbers("Stride"), strict=True)
        rows, columns = (-(-size // stride) for size, stride in sizes)
        return rows, columns

    @override
    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (1, *self._kept(), self.number("NumChannels"))

    @override
    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        pe = self.number("PE")
        return (1, *self._kept(), self.number("NumChannels") // pe, pe)

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        down, across = self.numbers("Stride")
        context[self.onnx_node.output[0]] = context[self.onnx_node.input[0]][:, ::down, ::across]

    @override
    def cell(self) -> Cell:
        (_, rows, columns), (down, across) = self.numbers("numInputVectors"), self.numbers("Stride")
        parameters = {
            "PE": self.number("PE"),
            "Width": self.in_bits(),
            "Channels": self.number("NumChannels"),
            "Rows": rows,
            "Cols": columns,
            "StrideHeight": down,
            "StrideWidth": across,
        }
        return Cell("subsample", parameters)

    @override
    def on_generic(self, folding: Folding) -> Folding:
        return {"SIMD": folding["PE"]}

    @override
    def cost(self, part: str) -> Cost:
        """Position and handshake."""
        return Cost(lut=12)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        channels = node.number("NumChannels")
        numbers = [*node.numbers("numInputVectors")[1:], 1, 1, *node.numbers("Stride"), 1, 1]
        emit.compute(node, "windows", [f"Window<{', '.join(map(str, numbers))}>", channels, channels])
