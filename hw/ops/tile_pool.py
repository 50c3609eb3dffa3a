# SPDX-License-Identifier: Apache-2.0
"""Pooling over windows that do not overlap: of pixels as they pass, without a window generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.cost import single_port
from hw.ops.pool import FUNCTION_CODES, check_pool, shift_of


class TilePool_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Floor average (sum and shift), sum or maximum of each KernelSize tile of a picture.

    Input (1, height, width, NumChannels), output (1, rows, columns, NumChannels); what is beyond the last whole tile is
    left out. FINN has it as ConvolutionInputGenerator and Pool.
    """

    label, role = "pool", "compute"
    divides = (("PE", "NumChannels"),)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {
            "KernelSize": ("ints", True, []),
            "Function": ("s", True, ""),
            "outputDataType": ("s", True, ""),
        }
        return {**super().get_nodeattr_types(), **own}

    @override
    def check(self) -> None:
        sizes = zip(self.numbers("numInputVectors")[1:], self.numbers("KernelSize"), strict=True)
        if any(not 1 <= kernel <= size for size, kernel in sizes):
            raise self.refuse("its picture does not hold a window")
        check_pool(self)

    @override
    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("outputDataType")]

    def tiles(self) -> tuple[int, int]:
        """Rows and columns of whole tiles."""
        sizes = zip(self.numbers("numInputVectors")[1:], self.numbers("KernelSize"), strict=True)
        rows, columns = (size // kernel for size, kernel in sizes)
        return rows, columns

    @override
    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (1, *self.tiles(), self.number("NumChannels"))

    @override
    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        pe = self.number("PE")
        return (1, *self.tiles(), self.number("NumChannels") // pe, pe)

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self.number("PE") * self.out_bits()

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        picture = context[self.onnx_node.input[0]]
        (rows, columns), (down, across) = self.tiles(), self.numbers("KernelSize")
        whole = picture[:, : rows * down, : columns * across]
        tiles = whole.reshape(1, rows, down, columns, across, -1).astype(np.int64)
        if self.text("Function") == "MaxPool":
            pooled = tiles.max(axis=(2, 4))
        else:
            pooled = tiles.sum(axis=(2, 4)) >> shift_of(self, self.in_bits(), self.out_bits())
        context[self.onnx_node.output[0]] = pooled.astype(np.float32)

    @override
    def cell(self) -> Cell:
        (_, height, width), (down, across) = self.numbers("numInputVectors"), self.numbers("KernelSize")
        idt = self.get_input_datatype()
        parameters = {
            "PE": self.number("PE"),
            "Channels": self.number("NumChannels"),
            "InWidth": self.in_bits(),
            "OutWidth": self.out_bits(),
            "Signed": int(idt.signed() and idt.name != "BIPOLAR"),
            "Height": height,
            "Width": width,
            "KernelHeight": down,
            "KernelWidth": across,
            "Func": FUNCTION_CODES[self.text("Function")],
            "Shift": shift_of(self, self.in_bits(), self.out_bits()),
        }
        return Cell("tile_pool", parameters)

    @override
    def cost(self, part: str) -> Cost:
        """An adder (or a comparator and a multiplexer) for each channel of a beat, a row of results, and position."""
        maximum, pe = self.text("Function") == "MaxPool", self.number("PE")
        growth = 0 if maximum else (math.prod(self.numbers("KernelSize")) - 1).bit_length()
        bits = self.in_bits() + growth
        words = self.tiles()[1] * self.number("NumChannels") // pe
        return Cost(lut=pe * bits * (2 if maximum else 1) + single_port(pe * bits, words) + 14)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        (_, height, width, channels), (down, across) = node.input_shape(0), node.numbers("KernelSize")
        function = "Maximum" if node.text("Function") == "MaxPool" else "Sum"
        output = node.output_type(0)
        bits = 8 if output.name == "BIPOLAR" else output.bits  # a maximum of -1 and 1 has no bit to cut off
        shift = shift_of(node, node.input_type(0).bits, output.bits)
        emit.compute(node, "tile_pool", [function, height, width, channels, down, across, shift, bits])
