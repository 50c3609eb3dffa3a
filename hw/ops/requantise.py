# SPDX-License-Identifier: Apache-2.0
"""Thresholds that lie on a line: batch norm and quantisation of sums, in a DSP block a lane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.cost import rom
from hw.ops.operator import LUTS_OR_BLOCK_RAM
from hw.ops.residual_join import ROWS_FILE, rows
from hw.ops.wrapper import quoted

WIDE, NARROW, TOTAL = 25, 18, 48
"""Bits of a DSP block: of the one factor, of the other, and of product and offset."""
Ints = npt.NDArray[np.int64]


class Requantise_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """clip((Factors * x + Offsets) >> Shift), for each channel a factor, 0 or more, and an offset.

    `hw/transforms/fuse_lines.py` finds them, and proves that they say the same as thresholds.
    """

    label, role = "requantise", "quantise"
    divides = (("PE", "NumChannels"),)
    parameters = ("Factors", "Offsets")
    memories = LUTS_OR_BLOCK_RAM

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {
            "outputDataType": ("s", True, ""),
            "Factors": ("ints", True, []),
            "Offsets": ("ints", True, []),
            "Shift": ("i", True, 0),
            "ram_style": ("s", False, "auto", {"auto", "block", "distributed"}),
        }
        return {**super().get_nodeattr_types(), **own}

    @override
    def check(self) -> None:
        self.check_integer(self.get_input_datatype(), "inputs")
        self.check_integer(self.get_output_datatype(), "outputs")
        if not len(self._numbers("Factors")) == len(self._numbers("Offsets")) == self.number("NumChannels"):
            raise self.refuse("Factors and Offsets must have a number for each of the NumChannels")
        if self._numbers("Factors").min() < 0:
            raise self.refuse("has a factor below 0")
        factors = sorted((self._kept_bits(), self._factor_bits() + 1))
        if factors[0] > NARROW or factors[1] > WIDE or max(sum(factors), self._offset_bits()) >= TOTAL:
            raise self.refuse(f"needs a product of {factors[0]} and {factors[1]} bits, and a DSP block has none such")

    def _numbers(self, name: str) -> Ints:
        return np.array(self.numbers(name), np.int64)

    @override
    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("outputDataType")]

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self.number("PE") * self.out_bits()

    def apply_to(self, values: Ints) -> Ints:
        """What comes out for (..., NumChannels) integers."""
        result = self.get_output_datatype()
        lines = (self._numbers("Factors") * values + self._numbers("Offsets")) >> self.number("Shift")
        clipped: Ints = lines.clip(int(result.min()), int(result.max()))
        return clipped

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        values = context[self.onnx_node.input[0]].astype(np.int64)
        context[self.onnx_node.output[0]] = self.apply_to(values).astype(np.float32)

    def _signed_bits(self) -> int:
        return self.in_bits() + (not self.get_input_datatype().signed())

    def _kept_bits(self) -> int:
        """Bits of an input that suffice: where it has more, no channel's result changes any more towards that end."""
        taken = self.get_input_datatype()
        ends = [self.apply_to(np.array([[int(end)]])) for end in (taken.min(), taken.max())]
        for bits in range(3, self._signed_bits()):
            edge = 1 << (bits - 2)
            near = [self.apply_to(np.array([[value]])) for value in (max(-edge - 1, int(taken.min())), edge)]
            if np.array_equal(near, ends):
                return bits
        return self._signed_bits()

    def _factor_bits(self) -> int:
        return max(int(self._numbers("Factors").max()).bit_length(), 1)

    def _offsets(self) -> Ints:
        """As the cell takes them, which gives signed numbers."""
        half = 0 if self.get_output_datatype().signed() else 1 << (self.out_bits() - 1 + self.number("Shift"))
        return self._numbers("Offsets") - half

    def _offset_bits(self) -> int:
        """Bits of the largest offset, and those above Shift that a result has."""
        offsets = self._offsets()
        largest = max(int(offsets.max()), int(~offsets.min()))
        return max(1 + largest.bit_length(), self.number("Shift") + self.out_bits())

    @override
    def write_memories(self, model: Any, directory: Path) -> None:
        widths = (self._factor_bits(), self._offset_bits())
        lines = rows(self._numbers("Factors"), self._offsets(), *widths, self.number("PE"))
        (directory / ROWS_FILE).write_text("\n".join(lines) + "\n")

    @override
    def cell(self) -> Cell:
        parameters: dict[str, int | str] = {
            "Channels": self.number("NumChannels"),
            "PE": self.number("PE"),
            "InWidth": self.in_bits(),
            "InSigned": f"1'b{int(self.get_input_datatype().signed())}",
            "KeptWidth": self._kept_bits(),
            "OutWidth": self.out_bits(),
            "OutSigned": f"1'b{int(self.get_output_datatype().signed())}",
            "FactorWidth": self._factor_bits(),
            "OffsetWidth": self._offset_bits(),
            "Shift": self.number("Shift"),
            "InitFile": quoted(str(Path(self.text("code_gen_dir_ipgen")) / ROWS_FILE)),
            "RamStyle": quoted(self.text("ram_style")),
        }
        return Cell("requantise", parameters)

    @override
    def cost(self, part: str) -> Cost:
        """The clip of each lane and the handshake; the memory of the lines."""
        pe, bits = self.number("PE"), self._factor_bits() + self._offset_bits()
        memory = rom(pe * bits, self.number("NumChannels") // pe, block=self.text("ram_style") == "block")
        return Cost(lut=pe * (self.out_bits() + 1) + 8, dsp=pe) + memory

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        total, channels = node.output_type(0), node.output_shape(0)[-1]
        constants = [np.array(node.numbers(name), np.int64) for name in ("Factors", "Offsets")]
        emit.compute(
            node, "requantise", [node.pixels(), channels, node.number("Shift"), total.low, total.high], *constants
        )
