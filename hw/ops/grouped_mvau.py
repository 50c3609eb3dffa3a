# SPDX-License-Identifier: Apache-2.0
"""Products of a grouped convolution: each output is a sum over the channels of its own group."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.cppsim.interface import integer_type
from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.cost import rom
from hw.ops.interleaved import IM2COL, check_interleaving, is_im2col
from hw.ops.operator import LUTS_OR_BLOCK_RAM, Folding
from hw.ops.wrapper import joined, quoted

WEIGHT_FILE = "weights.hex"
SMALL_PRODUCT = 8
"""Bits of a product up to which synthesis makes it of LUTs."""
Ints = npt.NDArray[np.int64]


class GroupedMVAU_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Sums of the products of windows and weights, in Groups of the channels and outputs.

    Input 0 is (..., Taps * NumChannels), in the order of `hw.ops.interleaved`; input 1 the weights, (Taps * channels of
    a group, MH), in im2col's. The output is (..., MH). FINN has it as an MVAU whose matrix is zero outside of blocks;
    `hw/transforms/fuse_groups.py` finds these.
    """

    label, role = "grouped mvu", "compute"
    divides = (("SIMD", "NumChannels"),)
    memories = LUTS_OR_BLOCK_RAM
    constant = True

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {
            "SIMD": ("i", True, 1),
            "PE": ("i", False, 0),  # follows from SIMD
            "Taps": ("i", True, 0),
            "Groups": ("i", True, 0),
            "MH": ("i", True, 0),
            "weightDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "ram_style": ("s", False, "auto", {"auto", "block", "distributed"}),
        }
        return {**super().get_nodeattr_types(), **own}

    @override
    def check(self) -> None:
        for datatype, role in ((self.get_input_datatype(), "multiplies"), (self.get_output_datatype(), "gives")):
            self.check_integer(datatype, role)
        self.check_integer(self.get_input_datatype(1), "multiplies by")
        for name in ("NumChannels", "MH"):
            if self.number("Groups") < 1 or self.number(name) % self.number("Groups"):
                raise self.refuse(f"Groups = {self.number('Groups')} does not divide {name} = {self.number(name)}")
        if not self._fits(self.number("SIMD")):
            raise self.refuse(f"SIMD = {self.number('SIMD')} takes parts of groups of {self._wide()} channels")

    @override
    def folds(self) -> list[Folding]:
        return [folding for folding in super().folds() if self._fits(folding["SIMD"])]

    def _fits(self, simd: int) -> bool:
        return simd % self._wide() == 0 or self._wide() % simd == 0

    def _wide(self) -> int:
        """Channels of a group."""
        return self.number("NumChannels") // self.number("Groups")

    def _terms(self) -> int:
        """Channels of a group in a beat."""
        return min(self._wide(), self.number("SIMD"))

    def _outputs(self) -> int:
        """Outputs of the groups in a beat."""
        return self.number("MH") // self.number("Groups") * (self.number("SIMD") // self._terms())

    @override
    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("weightDataType" if ind else "inputDataType")]

    @override
    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("outputDataType")]

    @override
    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        if ind:
            return (self.number("Taps") * self._wide(), self.number("MH"))
        return (*self.numbers("numInputVectors"), self.number("Taps") * self.number("NumChannels"))

    @override
    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.numbers("numInputVectors"), self.number("MH"))

    @override
    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        *vectors, elements = self.get_normal_input_shape()
        return (*vectors, elements // self.number("SIMD"), self.number("SIMD"))

    @override
    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        pe = self._outputs()
        return (*self.numbers("numInputVectors"), self.number("MH") // pe, pe)

    @override
    def get_instream_width(self, ind: int = 0) -> int:
        return 0 if ind else self.number("SIMD") * self.in_bits()

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self._outputs() * self.out_bits()

    @override
    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        check_interleaving(self, model, "SIMD")
        super().generate_hdl(model, fpgapart, clk)

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        name, weights = self.onnx_node.input[0], context[self.onnx_node.input[1]].astype(np.int64)
        taps, group = self.number("Taps"), self.number("NumChannels" if is_im2col(name, graph) else "SIMD")
        shape, groups = self.get_normal_output_shape(), self.number("Groups")
        windows = context[name].astype(np.int64).reshape(-1, self.number("NumChannels") // group, taps, group)
        channels = windows.swapaxes(2, 3).reshape(-1, groups, self._wide(), taps)
        blocks = weights.reshape(taps, self._wide(), groups, -1)
        sums = np.einsum("pgct,tcgm->pgm", channels, blocks).reshape(shape)
        context[self.onnx_node.output[0]] = sums.astype(np.float32)

    def _weight_bits(self) -> int:
        """Of a weight in two's complement."""
        datatype = self.get_input_datatype(1)
        return int(datatype.bitwidth()) + (not datatype.signed())

    @override
    def write_memories(self, model: Any, directory: Path) -> None:
        weights = model.get_initializer(self.onnx_node.input[1])
        if weights is None or weights.shape != self.get_normal_input_shape(1):
            raise self.refuse(f"its weights are not constant, or not {self.get_normal_input_shape(1)}")
        lanes = np.rint(weights).astype(np.int64).reshape(self.number("Taps"), self._wide(), self.number("Groups"), -1)
        words = weight_words(lanes, self.number("SIMD"), self._weight_bits())
        (directory / WEIGHT_FILE).write_text("\n".join(words) + "\n")

    @override
    def cell(self) -> Cell:
        parameters: dict[str, int | str] = {
            "Channels": self.number("NumChannels"),
            "Outputs": self.number("MH"),
            "Groups": self.number("Groups"),
            "Taps": self.number("Taps"),
            "SIMD": self.number("SIMD"),
            "PE": self._outputs(),
            "InWidth": self.in_bits(),
            "Signed": int(self.get_input_datatype().signed()),
            "WeightWidth": self._weight_bits(),
            "AccWidth": self.out_bits(),
            "InitFile": quoted(str(Path(self.text("code_gen_dir_ipgen")) / WEIGHT_FILE)),
            "RamStyle": quoted(self.text("ram_style")),
        }
        return Cell("grouped_mvu", parameters)

    @override
    def cost(self, part: str) -> Cost:
        """Products, adders, control, and the memory of the weights; within 10 % of Yosys for INT4 and SIMD 1 to 16."""
        products, bits = self._outputs() * self._terms(), self.in_bits() + self._weight_bits()
        words = self.number("Taps") * self.number("NumChannels") // self.number("SIMD")
        width = products * self._weight_bits()
        random = Cost(lut=0.08 * width * words)  # of a memory in LUTs
        memory = rom(width, words, block=True) if self.text("ram_style") == "block" else random
        small = bits <= SMALL_PRODUCT
        adders = products * (self.out_bits() + (self.in_bits() * self._weight_bits() * 1.6 if small else 0))
        return Cost(lut=adders + 15, dsp=0 if small else products) + memory

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        taps, groups, channels = (node.number(name) for name in ("Taps", "Groups", "NumChannels"))
        weights = node.constant()
        group = channels if node.producer in IM2COL else node.number("SIMD")
        wide, kind = channels // groups, integer_type(node.text("weightDataType"))
        # For each group a matrix, as the product of one group reads it.
        blocks = weights.reshape(taps, wide, groups, -1).transpose(2, 0, 1, 3)
        sizes = [math.prod(node.output_shape(0)[:-1]), channels, groups, taps, group, weights.shape[1], node.sum_bits()]
        emit.compute(node, "grouped_mvau", sizes, np.ascontiguousarray(blocks, dtype=kind.dtype))


def weight_words(weights: Ints, simd: int, bits: int) -> list[str]:
    """ROM contents as hexadecimal words of ``bits`` bits a weight.

    Args:
        weights: (taps, channels of a group, groups, outputs of a group).
        simd: channels a beat, a part of a group or some groups.
        bits: of a weight.
    """
    taps, wide, groups, fan = weights.shape
    terms = min(simd, wide)
    # A word for each part of the groups, or for each number of them, and tap: outputs outside, channels inside.
    parts = weights.reshape(taps, wide // terms, terms, groups * terms // simd, simd // terms, fan)
    beats = parts.transpose(3, 1, 0, 4, 5, 2).reshape(taps * wide * groups // simd, -1)
    return [f"{joined(beat, bits):x}" for beat in beats]
