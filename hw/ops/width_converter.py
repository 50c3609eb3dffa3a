# SPDX-License-Identifier: Apache-2.0
"""Width conversion by a whole factor: what stands between two nodes that are folded differently."""

from __future__ import annotations

import math
from typing import Any

from finn.custom_op.fpgadataflow.streamingdatawidthconverter import StreamingDataWidthConverter
from onnx import NodeProto
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, pass_on

KINDS = ("StreamingDataWidthConverter", "WidthConverter_rtl")
"""How the types of nodes begin that convert widths: FINN's, for any two widths, and this one."""


class WidthConverter_rtl(CellOp, StreamingDataWidthConverter):  # noqa: N801  FINN's naming
    """The same elements, Ratio times as many a beat, or as few."""

    generic = ("StreamingDataWidthConverter",)
    label, role = "width", "store"
    kernel = staticmethod(pass_on)

    @override
    @classmethod
    def specialise(cls, model: Any, node: NodeProto) -> NodeProto | None:
        widths = {attribute.name: attribute.i for attribute in node.attribute}
        return super().specialise(model, node) if whole_factor(widths["inWidth"], widths["outWidth"]) else None

    @override
    def check(self) -> None:
        if not whole_factor(self.number("inWidth"), self.number("outWidth")):
            raise self.refuse(
                f"converts {self.number('inWidth')} to {self.number('outWidth')} bits; "
                "one has to be a multiple of the other"
            )

    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        """Hand the values on; FINN's insists on a shape, which streams, and so FINN's other operators, do not know."""
        source, sink = self.onnx_node.input[0], self.onnx_node.output[0]
        context[sink] = context[source].reshape(self.get_normal_output_shape())

    @override
    def cell(self) -> Cell:
        return Cell("width_converter", {"InWidth": self.number("inWidth"), "OutWidth": self.number("outWidth")})

    @override
    def cost(self, part: str) -> Cost:
        return converter(self.number("inWidth"), self.number("outWidth"))


def whole_factor(in_width: int, out_width: int) -> bool:
    """Whether one width is a multiple of the other, at least twice."""
    narrow, wide = sorted((in_width, out_width))
    return wide > narrow > 0 and wide % narrow == 0


def converter(in_width: int, out_width: int) -> Cost:
    """Of a beat counter, and when narrowing a multiplexer, of which a LUT holds four inputs; none of equal widths."""
    if in_width == out_width:
        return Cost()
    narrow, wide = sorted((in_width, out_width))
    ratio = wide // narrow
    multiplexer = narrow * math.ceil(ratio / 4) if in_width > out_width else 0
    return Cost(lut=multiplexer + 4 + ratio.bit_length())
