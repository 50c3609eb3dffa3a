# SPDX-License-Identifier: Apache-2.0
"""Where the branch of a residual block ends: batch norm, the residual added, clip and sign in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.cost import LUT_RAM_DEPTH, rom
from hw.ops.operator import LUTS_OR_BLOCK_RAM
from hw.ops.wrapper import quoted

ROWS_FILE = "rows.hex"
Ints = npt.NDArray[np.int64]


class ResidualJoin_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """clip((Factors * count + Offsets + (residual << Shift)) >> Shift), and whether it is at least 0.

    Input 0 are the counts (..., NumChannels), unsigned, input 1 the residual, signed. Output 0 is signed, output 1,
    which may be absent, BINARY. Factors (0 or more) and Offsets have one number per channel;
    `hw/transforms/fuse_joins.py` finds them, and proves that they say the same as thresholds.
    """

    label, role = "residual join", "join"
    divides = (("PE", "NumChannels"),)
    memories = LUTS_OR_BLOCK_RAM

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {
            "residualDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "Factors": ("ints", True, []),
            "Offsets": ("ints", True, []),
            "Shift": ("i", True, 0),
            "ram_style": ("s", False, "auto", {"auto", "block", "distributed"}),
        }
        return {**super().get_nodeattr_types(), **own}

    @override
    def check(self) -> None:
        counts, residual, total = self.get_input_datatype(0), self.get_input_datatype(1), self.get_output_datatype(0)
        if len(self.onnx_node.output) not in (1, 2) or len(self.onnx_node.input) != 2:
            raise self.refuse("takes counts and a residual, and gives a sum and perhaps its sign")
        for datatype, role in ((counts, "counts"), (residual, "a residual"), (total, "sums")):
            self.check_integer(datatype, role)
            if datatype.signed() == (role == "counts"):
                raise self.refuse(f"{role} of {datatype.name}; counts are unsigned, the others signed")
        if not len(self.factors()) == len(self.offsets()) == self.number("NumChannels"):
            raise self.refuse("Factors and Offsets must have a number for each of the NumChannels")
        largest = self._factor_bits() + int(counts.bitwidth())
        if max(largest, self._offset_bits(), int(residual.bitwidth()) + self.number("Shift")) > 30:
            raise self.refuse("its product, offset or shifted residual has more than 30 bits")
        if self.factors().min() < 0 or self._factor_bits() > 17:
            raise self.refuse(f"Factors {self.factors().min()} .. {self.factors().max()}; they can be 0 .. {2**17 - 1}")

    def factors(self) -> Ints:
        """What the counts are multiplied by, a number per channel."""
        return np.array(self.numbers("Factors"), np.int64)

    def offsets(self) -> Ints:
        """What is added to the product, a number per channel."""
        return np.array(self.numbers("Offsets"), np.int64)

    @override
    def infer_node_datatype(self, model: Any) -> None:
        super().infer_node_datatype(model)
        self.set_nodeattr("residualDataType", model.get_tensor_datatype(self.onnx_node.input[1]).name)
        for name in self.onnx_node.output[1:]:
            model.set_tensor_datatype(name, DataType["BINARY"])

    @override
    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("residualDataType" if ind else "inputDataType")]

    @override
    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["BINARY"] if ind else DataType[self.text("outputDataType")]

    @override
    def get_instream_width(self, ind: int = 0) -> int:
        return self.number("PE") * self.in_bits(ind)

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self.number("PE") * int(self.get_output_datatype(ind).bitwidth())

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        counts, residual = (context[name].astype(np.int64) for name in self.onnx_node.input)
        total = self.get_output_datatype(0)
        whole = (self.factors() * counts + self.offsets() + (residual << self.number("Shift"))) >> self.number("Shift")
        sums = np.clip(whole, int(total.min()), int(total.max()))
        for name, values in zip(self.onnx_node.output, (sums, sums >= 0), strict=False):
            context[name] = values.astype(np.float32)

    def _factor_bits(self) -> int:
        return max(int(self.factors().max()).bit_length(), 1)

    def _offset_bits(self) -> int:
        """Bits of the largest offset, and at least one above Shift, where the residual is added."""
        largest = max(int(self.offsets().max()), int(~self.offsets().min()))
        return 1 + max(largest.bit_length(), self.number("Shift"))

    @override
    def write_memories(self, model: Any, directory: Path) -> None:
        lines = rows(self.factors(), self.offsets(), self._factor_bits(), self._offset_bits(), self.number("PE"))
        (directory / ROWS_FILE).write_text("\n".join(lines) + "\n")

    @override
    def cell(self) -> Cell:
        parameters: dict[str, int | str] = {
            "Channels": self.number("NumChannels"),
            "PE": self.number("PE"),
            "CountWidth": self.in_bits(0),
            "ResidualWidth": self.in_bits(1),
            "SumWidth": self.out_bits(),
            "FactorWidth": self._factor_bits(),
            "OffsetWidth": self._offset_bits(),
            "Shift": self.number("Shift"),
            "InitFile": quoted(str(Path(self.text("code_gen_dir_ipgen")) / ROWS_FILE)),
            "RamStyle": quoted(self.text("ram_style")),
        }
        unread = {"out1_V_TDATA": "", "out1_V_TVALID": "", "out1_V_TREADY": "1'b1"}
        return Cell("residual_join", parameters, tied={} if len(self.onnx_node.output) == 2 else unread)

    @override
    def cost(self, part: str) -> Cost:
        """The residual's adder and the clip per element, handshakes, and the memory of the constants."""
        pe, beats = self.number("PE"), self.number("NumChannels") // self.number("PE")
        bits = self._factor_bits() + self._offset_bits()
        block = self.text("ram_style") == "block"
        memory = rom(pe * bits, beats, block=block)
        if not block:  # two words or fewer are wires, and of few words many bits are alike
            memory = Cost(lut=pe * bits * (0 if beats <= 2 else 0.85 if beats < LUT_RAM_DEPTH else 1.9))
        return Cost(lut=pe * (self.in_bits(1) + self.out_bits()) + 9, dsp=pe) + memory

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        total, count = node.output_type(0), node.pixels() * node.output_shape(0)[-1]
        constants = [np.array(node.numbers(name), np.int32) for name in ("Factors", "Offsets")]
        sizes = [node.pixels(), node.output_shape(0)[-1], node.number("Shift"), total.low, total.high]
        emit.compute(node, "residual_join", sizes, *constants)
        if len(node.outputs) == 2:
            emit.call(node, "signs", [count], emit.buffers[node.outputs[0]], emit.write_plain(node, 1))


def rows(factors: Ints, offsets: Ints, factor_bits: int, offset_bits: int, pe: int) -> list[str]:
    """ROM contents as hexadecimal words, one per beat: ``pe`` times an offset above a factor, element 0 lowest."""
    pairs = [int(f) | int(o) % (1 << offset_bits) << factor_bits for f, o in zip(factors, offsets, strict=True)]
    beats = [pairs[first : first + pe] for first in range(0, len(pairs), pe)]
    width = factor_bits + offset_bits
    return [f"{sum(pair << lane * width for lane, pair in enumerate(beat)):x}" for beat in beats]
