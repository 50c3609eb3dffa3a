# SPDX-License-Identifier: Apache-2.0
"""Integer addition of two streams: the residual add."""

from __future__ import annotations

from typing import Any

from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd

from hw.ops.cell_op import CellOp
from hw.ops.wrapper import Cell


class StreamAdd_rtl(CellOp, ElementwiseAdd):  # noqa: N801  FINN's naming
    """Sum of two streams of equal shape, integers of any width and sign, exact.

    FINN's ElementwiseAdd also broadcasts and adds constants; that is refused here.
    """

    def check(self) -> None:
        """See CellOp.check."""
        if "const" in (self.text("lhs_style"), self.text("rhs_style")):
            raise self.refuse("adds a constant; only two streams can be added")
        shapes = [self.numbers(name) for name in ("lhs_shape", "rhs_shape", "out_shape")]
        if shapes[0] != shapes[1] or shapes[0] != shapes[2]:
            raise self.refuse(f"broadcasts {shapes[0]} and {shapes[1]}; only equal shapes can be added")
        for name in ("lhs_dtype", "rhs_dtype", "out_dtype"):
            if not getattr(self, name).is_integer() or self.text(name) == "BIPOLAR":
                raise self.refuse(f"{name} is {self.text(name)}; only integers can be added")
        needed = self._derive_out_dtype(None)
        if not (self.out_dtype.min() <= needed.min() and needed.max() <= self.out_dtype.max()):
            raise self.refuse(f"out_dtype {self.out_dtype.name} is narrower than the sum's {needed.name}")
        if self.number("PE") < 1 or shapes[0][-1] % self.number("PE"):
            raise self.refuse(f"PE = {self.number('PE')} does not divide the {shapes[0][-1]} channels")

    def infer_node_datatype(self, model: Any) -> None:
        """Take the inputs' datatypes from the graph and give the output the smallest that holds every sum."""
        super().infer_node_datatype(model)
        self.minimize_accumulator_width(model)

    def cell(self) -> Cell:
        """See CellOp.cell."""
        parameters = {
            "PE": self.number("PE"),
            "WidthA": self.in_bits(0),
            "WidthB": self.in_bits(1),
            "WidthO": self.out_bits(),
            "SignedA": int(self.lhs_dtype.signed()),
            "SignedB": int(self.rhs_dtype.signed()),
        }
        return Cell("stream_add", parameters)

    def lut_estimation(self, fpgapart: str) -> int:
        """A carry chain an element, and the handshake."""
        return self.number("PE") * (self.out_bits() - 1) + 4
