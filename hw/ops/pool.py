# SPDX-License-Identifier: Apache-2.0
"""Pooling over windows: the recovery's floor average, and the maximum."""

from __future__ import annotations

import math
from typing import Any

from finn.custom_op.fpgadataflow.pool import Pool
from typing_extensions import override

from hw.attributes import Attributes
from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node
from hw.ops.interleaved import IM2COL, check_interleaving, is_im2col

FUNCTION_CODES = {"QuantAvgPool": 0, "AccPool": 0, "MaxPool": 1}


class Pool_rtl(CellOp, Pool):  # noqa: N801  FINN's naming
    """Floor average (sum and shift), sum or maximum of the windows of a depthwise window generator.

    The input stream, and therefore the input tensor after a specialised window generator, has for each pixel
    the order (Channels/PE, kernel height * width, PE), not im2col's (height * width, Channels).
    """

    generic = ("Pool",)
    label, role = "pool", "compute"
    divides = (("PE", "Channels"),)

    @override
    def check(self) -> None:
        check_pool(self)

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """As any cell, but the window generator in front must interleave PE channels."""
        check_interleaving(self, model, "PE")
        super().generate_hdl(model, fpgapart, clk)

    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        """As the generic class does, with the input brought into im2col order first."""
        name = self.onnx_node.input[0]
        given = context[name]
        if not is_im2col(name, graph):
            groups = given.reshape(*given.shape[:-1], -1, self._window(), self.number("PE"))
            context[name] = groups.swapaxes(-2, -3).reshape(given.shape)
        super().execute_python(context, graph)
        context[name] = given

    @override
    def cell(self) -> Cell:
        idt = self.get_input_datatype()
        parameters = {
            "PE": self.number("PE"),
            "InWidth": idt.bitwidth(),
            "OutWidth": self.out_bits(),
            "Signed": int(idt.signed() and idt.name != "BIPOLAR"),
            "WindowBeats": self._window(),
            "Channels": self.number("Channels"),
            "Func": FUNCTION_CODES[self.text("Function")],
            "Shift": shift_of(self, idt.bitwidth(), self.out_bits()),
        }
        return Cell("window_pool", parameters)

    def _window(self) -> int:
        """Elements of one channel in a window."""
        return math.prod(self.numbers("KernelSize"))

    def cost(self, part: str) -> Cost:
        """An adder (or a comparator and a multiplexer) for each channel of a beat, and the beat counter."""
        maximum = self.text("Function") == "MaxPool"
        growth = self.in_bits() if maximum else (self._window() - 1).bit_length()
        return Cost(lut=self.number("PE") * (self.in_bits() + growth) + 8)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        function, channels = node.text("Function"), node.number("Channels")
        if function not in FUNCTION_CODES:
            raise node.refuse(f"Function {function} is not exact in integers", "use QuantAvgPool")
        # Pool_rtl reads what a specialised generator writes, everything else im2col's order.
        im2col = node.op_type == "Pool" or node.producer in IM2COL
        group = channels if im2col else node.number("PE")
        kernel, taps = "Maximum" if function == "MaxPool" else "Sum", math.prod(node.numbers("KernelSize"))
        output = node.output_type(0)
        bits = 8 if output.name == "BIPOLAR" else output.bits  # a maximum of -1 and 1 has no bit to cut off
        shift = shift_of(node, node.input_type(0).bits, output.bits)
        parameters = [kernel, node.pixels(), channels, taps, group, shift, bits]
        emit.compute(node, "pool", parameters)


def check_pool(pool: CellOp) -> None:
    """Refuse a pool, by windows or tiles, whose results are no integers or do not fit."""
    function = pool.text("Function")
    if function not in FUNCTION_CODES:
        raise pool.refuse(f"Function {function} has no exact integer hardware; use QuantAvgPool")
    idt, odt = pool.get_input_datatype(), pool.get_output_datatype()
    if not (idt.is_integer() and odt.is_integer()):
        raise pool.refuse(f"pools {idt.name} to {odt.name}; only integers can be pooled")
    if function == "MaxPool":
        return
    if "BIPOLAR" in (idt.name, odt.name):
        raise pool.refuse("sums bipolar values; only integers can be summed")
    window, shift = math.prod(pool.numbers("KernelSize")), shift_of(pool, idt.bitwidth(), odt.bitwidth())
    if window * idt.min() >> shift < odt.min() or window * idt.max() >> shift > odt.max():
        raise pool.refuse(f"OutputDataType {odt.name} cannot hold the result of {window} values {idt.name}")


def shift_of(pool: Attributes, in_bits: int, out_bits: int) -> int:
    """Right shift of the sum: QuantAvgPool drops the bits by which the largest sum exceeds the output."""
    if pool.text("Function") != "QuantAvgPool":
        return 0
    largest = ((1 << in_bits) - 1) * math.prod(pool.numbers("KernelSize"))
    return max(0, largest.bit_length() - out_bits)
