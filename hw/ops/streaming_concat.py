# SPDX-License-Identifier: Apache-2.0
"""Concatenation of streams along the channels: the recovery's join."""

from __future__ import annotations

from finn.custom_op.fpgadataflow.concat import StreamingConcat
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node
from hw.ops.wrapper import bundle, low_bits, packed, zero_padding


class StreamingConcat_rtl(CellOp, StreamingConcat):  # noqa: N801  FINN's naming
    """Channels of input 0, then of input 1, ... for each pixel; integers of any width and sign."""

    generic = ("StreamingConcat",)
    label, role = "concat", "join"
    divides = (("SIMD", "ChannelsPerStream"),)

    @override
    def check(self) -> None:
        count = self.get_n_inputs()
        if count < 2 or count != len(self.onnx_node.input):
            raise self.refuse(f"ChannelsPerStream names {count} streams for {len(self.onnx_node.input)} inputs")
        for index in range(count):
            self.check_integer(self.get_input_datatype(index), f"input {index} is")

    @override
    def cell(self) -> Cell:
        count, simd = self.get_n_inputs(), self.number("SIMD")
        out_bits = self.get_outstream_width()
        parameters = {
            "NumInputs": count,
            "PE": simd,
            "Beats": packed([channels // simd for channels in self.numbers("ChannelsPerStream")], 32),
            "ElemWidths": packed([self.in_bits(i) for i in range(count)], 32),
            "Signed": packed([int(self.get_input_datatype(i).signed()) for i in range(count)], 1),
            "OutWidth": self.out_bits(),
        }
        connections = {
            "data_i": bundle([self._widened(i, out_bits) for i in range(count)]),
            "valid_i": bundle([f"in{i}_V_TVALID" for i in range(count)]),
            "ready_o": bundle([f"in{i}_V_TREADY" for i in range(count)]),
            "data_o": low_bits("out0_V", out_bits),
            "valid_o": "out0_V_TVALID",
            "ready_i": "out0_V_TREADY",
        }
        padding = zero_padding("out0_V", out_bits, self.get_outstream_width_padded())
        return Cell("stream_concat", parameters, connections, padding)

    def _widened(self, index: int, bits: int) -> str:
        """Data of input ``index``, filled up with zeros to the ``bits`` bits that the cell's port has."""
        missing = bits - self.get_instream_width(index)
        data = low_bits(f"in{index}_V", self.get_instream_width(index))
        return f"{{{missing}'d0, {data}}}" if missing else data

    def cost(self, part: str) -> Cost:
        """An AND-OR multiplexer for the data, a beat counter and the turn."""
        inputs = len(self.onnx_node.input)
        beats = max(self.numbers("ChannelsPerStream")) // self.number("SIMD")
        multiplexer = self.number("SIMD") * self.out_bits() * -(-inputs // 3)
        return Cost(lut=multiplexer + 2 * beats.bit_length() + 2 * inputs)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        y = emit.write_plain(node)
        output, width = node.output_type(0), node.output_shape(0)[-1]
        first = 0
        for index in range(len(node.inputs)):
            kind, channels = node.input_type(index), node.input_shape(index)[-1]
            if kind.low < output.low or kind.high > output.high:
                raise node.refuse(f"{output.name} does not hold {kind.name} of input {index}")
            emit.call(node, "place", [node.pixels(), channels, width, first], emit.read_plain(node, index), y)
            first += channels
