# SPDX-License-Identifier: Apache-2.0
"""Integer addition of two streams: the residual add."""

from __future__ import annotations

import math
from typing import Any

from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node


class StreamAdd_rtl(CellOp, ElementwiseAdd):  # noqa: N801  FINN's naming
    """Sum of two streams of equal shape, integers of any width and sign, exact.

    FINN's ElementwiseAdd also broadcasts and adds constants; that is refused here.
    """

    generic = ("ElementwiseAdd",)
    label, role = "add", "join"
    divides = (("PE", "lhs_shape"),)

    @override
    def check(self) -> None:
        if "const" in (self.text("lhs_style"), self.text("rhs_style")):
            raise self.refuse("adds a constant; only two streams can be added")
        shapes = [self.numbers(name) for name in ("lhs_shape", "rhs_shape", "out_shape")]
        if shapes[0] != shapes[1] or shapes[0] != shapes[2]:
            raise self.refuse(f"broadcasts {shapes[0]} and {shapes[1]}; only equal shapes can be added")
        for name in ("lhs_dtype", "rhs_dtype", "out_dtype"):
            self.check_integer(getattr(self, name), f"{name} is")
        needed = self._derive_out_dtype(None)
        if not (self.out_dtype.min() <= needed.min() and needed.max() <= self.out_dtype.max()):
            raise self.refuse(f"out_dtype {self.out_dtype.name} is narrower than the sum's {needed.name}")

    @override
    def whole(self, attribute: str) -> int:
        return self.numbers(attribute)[-1]

    def infer_node_datatype(self, model: Any) -> None:
        """Take the inputs' datatypes from the graph and give the output the smallest that holds every sum."""
        super().infer_node_datatype(model)
        self.minimize_accumulator_width(model)

    @override
    def cell(self) -> Cell:
        parameters = {
            "PE": self.number("PE"),
            "WidthA": self.in_bits(0),
            "WidthB": self.in_bits(1),
            "WidthO": self.out_bits(),
            "SignedA": int(self.lhs_dtype.signed()),
            "SignedB": int(self.rhs_dtype.signed()),
        }
        return Cell("stream_add", parameters)

    def cost(self, part: str) -> Cost:
        """A carry chain an element, and the handshake."""
        return Cost(lut=self.number("PE") * (self.out_bits() - 1) + 4)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        shapes = [node.input_shape(0), node.input_shape(1), node.output_shape(0)]
        if len({math.prod(shape) for shape in shapes}) > 1:
            raise node.refuse(f"broadcasts {shapes[0]} and {shapes[1]}", "only equal shapes can be added")
        emit.compute(node, "add", [math.prod(shapes[0]), node.sum_bits()])
