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
from hw.ops.operator import LUTS_OR_BLOCK_RAM, Settings
from hw.ops.wrapper import joined, quoted

ROWS_FILE = "rows.hex"
TABLE_FILES = "table_"
"""What the names of a table's files begin with; then comes the number of a pair of lanes."""
MOST_STEP_BITS = 2
FORMS: tuple[Settings, ...] = ({"form": "line"}, {"form": "table"})
Ints = npt.NDArray[np.int64]


class ResidualJoin_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """clip((Factors * count + Offsets + (residual << Shift)) >> Shift), and whether it is at least 0.

    The hardware computes it, in a DSP block a lane, or looks up what it comes to without the residual: attribute form.

    Input 0 are the counts (..., NumChannels), unsigned, input 1 the residual, signed. Output 0 is signed, output 1,
    which may be absent, BINARY. Factors (0 or more) and Offsets have one number per channel;
    `hw/transforms/fuse_joins.py` finds them, and proves that they say the same as thresholds.
    """

    label, role = "residual join", "join"
    divides = (("PE", "NumChannels"),)
    parameters = ("Factors", "Offsets")
    memories = tuple({**form, **memory} for form in FORMS for memory in LUTS_OR_BLOCK_RAM)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {
            "residualDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "Factors": ("ints", True, []),
            "Offsets": ("ints", True, []),
            "Shift": ("i", True, 0),
            "form": ("s", False, "line", {"line", "table"}),
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

    def _levels(self, counts: Ints) -> Ints:
        """(channels, counts): the lines, clipped to where no residual can bring them back into the sum's range."""
        residual, total = self.get_input_datatype(1), self.get_output_datatype()
        lowest, highest = int(total.min() - residual.max()), int(total.max() - residual.min())
        lines: Ints = (self.factors()[:, None] * counts + self.offsets()[:, None]) >> self.number("Shift")
        return lines.clip(lowest, highest)

    def _level_bits(self) -> int:
        """Of the table's levels; with a residual at least those of a sum."""
        ends = self._levels(np.array([0, (1 << self.in_bits(0)) - 1]))
        return max(1 + int(max(ends.max(), ~ends.min())).bit_length(), self.out_bits() - 1)

    def _step_bits(self) -> int:
        """The logarithm of the counts a word of the table, of which each must be within a step of the one before."""
        most = MOST_STEP_BITS if self.factors().max() <= 1 << self.number("Shift") else 0
        choices = range(min(most, self.in_bits(0) - 1) + 1)
        return min(choices, key=lambda bits: (self._table_memory(bits).bram36, self._table_cost(bits).lut))

    @override
    def write_memories(self, model: Any, directory: Path) -> None:
        if self.text("form") == "line":
            lines = rows(self.factors(), self.offsets(), self._factor_bits(), self._offset_bits(), self.number("PE"))
            (directory / ROWS_FILE).write_text("\n".join(lines) + "\n")
            return
        pe, counts = self.number("PE"), np.arange(1 << self.in_bits(0))
        words = table_words(self._levels(counts), self._step_bits(), self._level_bits()).reshape(
            -1, pe, len(counts) >> self._step_bits()
        )
        for first in range(0, pe, 2):
            lanes = [f"{word:x}\n" for word in words[:, first : first + 2].ravel()]
            (directory / f"{TABLE_FILES}{first // 2}.hex").write_text("".join(lanes))

    @override
    def cell(self) -> Cell:
        parameters: dict[str, int | str] = {
            "Channels": self.number("NumChannels"),
            "PE": self.number("PE"),
            "CountWidth": self.in_bits(0),
            "ResidualWidth": self.in_bits(1),
            "SumWidth": self.out_bits(),
            "RamStyle": quoted(self.text("ram_style")),
        }
        if self.text("form") == "line":
            widths = {"FactorWidth": self._factor_bits(), "OffsetWidth": self._offset_bits()}
            parameters |= {**widths, "Shift": self.number("Shift")}
            file = ROWS_FILE
        else:
            parameters |= {"Table": "1'b1", "LevelWidth": self._level_bits(), "StepBits": self._step_bits()}
            file = TABLE_FILES
        parameters["InitFile"] = quoted(str(Path(self.text("code_gen_dir_ipgen")) / file))
        unread = {"out1_V_TDATA": "", "out1_V_TVALID": "", "out1_V_TREADY": "1'b1"}
        return Cell("residual_join", parameters, tied={} if len(self.onnx_node.output) == 2 else unread)

    @override
    def cost(self, part: str) -> Cost:
        """Adder, clip and the choice between two registers per element, handshakes, and the memory of constants or
        table.
        """
        if self.text("form") == "table":
            return self._table_cost(self._step_bits())
        pe, beats = self.number("PE"), self.number("NumChannels") // self.number("PE")
        bits = self._factor_bits() + self._offset_bits()
        block = self.text("ram_style") == "block"
        # Two words or fewer are wires, which the residual's adder takes in.
        lane = self.in_bits(1) + 2 * self.out_bits() - (0 if block or beats > 2 else 2.5)
        return Cost(lut=pe * lane + 9, dsp=pe) + rom(pe * bits, beats, block=block)

    def _table_cost(self, step_bits: int) -> Cost:
        """Of the form that looks up, with 2**step_bits counts a word; one step is the carry into the adder."""
        adders = (2 if step_bits > 1 else 1) * (max(self._level_bits(), self.in_bits(1)) + 1)
        lane = adders + step_bits + 1.5 * self.out_bits() - 1
        return Cost(lut=self.number("PE") * lane + 9) + self._table_memory(step_bits)

    def _table_memory(self, step_bits: int) -> Cost:
        pe, words = self.number("PE"), self.number("NumChannels") // self.number("PE") << self.in_bits(0) - step_bits
        width = self._level_bits() + (1 << step_bits) - 1
        if self.text("ram_style") != "block":
            return Cost(lut=1.25 * pe * width * words / LUT_RAM_DEPTH)
        pair, single = (rom(width, lanes * words, block=True).bram36 for lanes in (2, 1))
        return Cost(bram36=pe // 2 * pair + pe % 2 * single)

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
    return [f"{joined(beat, factor_bits + offset_bits):x}" for beat in beats]


def table_words(levels: Ints, step_bits: int, level_bits: int) -> Ints:
    """ROM contents, a word for 2**step_bits counts: above the level of the first, whether each other's is one higher.

    Args:
        levels: (channels, counts).
        step_bits: where it is not 0, a level is that of the count before or one more.
        level_bits: of a level, signed.
    """
    parts = levels.reshape(len(levels), -1, 1 << step_bits)
    steps = np.diff(parts, axis=-1) << level_bits + np.arange(parts.shape[-1] - 1)
    words: Ints = parts[..., 0] % (1 << level_bits) + steps.sum(axis=-1)
    return words
