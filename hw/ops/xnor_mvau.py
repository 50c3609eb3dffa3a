# SPDX-License-Identifier: Apache-2.0
"""Binary matrix-vector product: every binary convolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.matrixvectoractivation import MVAU
from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node
from hw.ops.cost import LUT_RAM_DEPTH, lut_ram, rom
from hw.ops.operator import LUTS_OR_BLOCK_RAM
from hw.ops.wrapper import quoted
from hw.ops.xnor_unit import CELLS, MOST_WORDS, luts, unit
from hw.rtl import sources

WEIGHT_FILE = "weights.hex"
RANDOM_ROM = 4.5
"""How many LUTs Yosys takes for a ROM of random bits and more than 32 words where one would do."""
FEW_WORDS = ((1, 2, 4, 8, 16, 32), (-0.4, -0.16, 0.03, 0.25, 1.1, 2.1))
"""Words of weights, and LUTs a lane that they add where they are constants of the LUTs that compare bits."""


class XnorMVAU_rtl(CellOp, MVAU):  # noqa: N801  FINN's naming
    """Number of agreeing bits of an MW-bit vector with each of MH weight vectors, 0..MW.

    Input 0 is (..., MW) BINARY, input 1 is (MW, MH) BINARY, both with 1 for +1 and 0 for -1. The weights are
    in ROM, or constants of an RTL made from them (`hw.ops.xnor_unit`). Thresholds stay a node of their own.
    """

    generic = ("MVAU",)
    label, role = "xnor mvu", "compute"
    divides = (("PE", "MH"), ("SIMD", "MW"))
    memories = LUTS_OR_BLOCK_RAM
    constant = True
    dropped = ("preferred_impl_style", "mem_mode")
    positions: ClassVar[int] = 1
    """Of an element, that are compared with its weight."""

    @override
    @classmethod
    def specialise(cls, model: Any, node: NodeProto) -> NodeProto | None:
        return super().specialise(model, node) if cls.fits(model, node) else None

    @classmethod
    def fits(cls, model: Any, node: NodeProto) -> bool:
        """Whether an abstract product is one of this kind."""
        return bool(getHWCustomOp(node).get_nodeattr("binaryXnorMode"))

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes; the weights can only be embedded."""
        types = super().get_nodeattr_types()
        types["mem_mode"] = ("s", False, "internal_embedded", {"internal_embedded"})
        types["ram_style"] = ("s", False, "auto", {"auto", "block", "distributed"})
        return dict(types)

    @override
    def check(self) -> None:
        if not self.number("binaryXnorMode"):
            raise self.refuse("binaryXnorMode must be 1")
        if not self.number("noActivation"):
            raise self.refuse("has built-in thresholds; they must be a node of their own (noActivation = 1)")
        for name in ("inputDataType", "weightDataType"):
            if self.text(name) != "BINARY":
                raise self.refuse(f"{name} is {self.text(name)}; it must be BINARY")
        if self.number("runtime_writeable_weights"):
            raise self.refuse("runtime_writeable_weights = 1; the weights are in ROM")

    def minimize_accumulator_width(self, model: Any, datatype_only: bool = False) -> BaseDataType:
        """Set accumulator and output to the type of a popcount 0..MW.

        FINN's own takes the sum of +-1 products, which is too narrow: for MW = 144 an INT8 that wraps at 128.
        """
        datatype = DataType.get_smallest_possible(self.number("MW"))
        set_sums(model, self, datatype)
        return datatype

    def infer_node_datatype(self, model: Any) -> None:
        """The output's type follows from MW alone."""
        super().infer_node_datatype(model)
        self.minimize_accumulator_width(model)

    def get_exp_cycles(self) -> int:
        """One cycle for each word of weights and vector."""
        return int(MVAU.get_exp_cycles(self))

    @override
    def in_luts(self) -> bool:
        """For whole vectors and few words, unless block RAM is wanted."""
        whole = self.number("SIMD") == self.number("MW")
        return whole and self.calc_wmem() <= MOST_WORDS and self.text("ram_style") != "block"

    def write_memories(self, model: Any, directory: Path) -> None:
        """Write the weights, one word of PE*SIMD bits per line (see ``weight_words``), or what is made from them."""
        weights = model.get_initializer(self.onnx_node.input[1])
        if weights is None:
            raise self.refuse("its weights are not constant")
        if weights.shape != (self.number("MW"), self.number("MH")):
            raise self.refuse(f"weights of shape {weights.shape} for MW, MH = {self.number('MW')}, {self.number('MH')}")
        weights = self.as_bits(weights)
        if self.in_luts():
            text = unit(self._unit(), weights.T.astype(np.bool_), self.number("PE"), self.out_bits())
            (directory / f"{self._unit()}.sv").write_text(text)
            return
        words = weight_words(weights, self.number("PE"), self.number("SIMD"))
        (directory / WEIGHT_FILE).write_text("\n".join(words) + "\n")

    def as_bits(self, weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The weights as 0 and 1."""
        if not np.isin(weights, (0, 1)).all():
            raise self.refuse("has weights other than 0 and 1")
        return weights

    def _unit(self) -> str:
        """The module that is made from the weights; its name begins with that of the node's."""
        return f"{self.text('gen_top_module')}_unit"

    @override
    def cell_files(self) -> list[Path]:
        if not self.in_luts():
            return super().cell_files()
        made = Path(self.text("code_gen_dir_ipgen")) / f"{self._unit()}.sv"
        return [*dict.fromkeys(file for cell in CELLS for file in sources(cell)), made]

    def cell(self) -> Cell:
        """The ROM is named by its absolute path, as in FINN's memstream."""
        if self.in_luts():
            return Cell(self._unit(), {})
        sizes = {name: self.number(name) for name in ("MW", "MH", "PE", "SIMD")}
        memory = quoted(str(Path(self.text("code_gen_dir_ipgen")) / WEIGHT_FILE))
        style = quoted(self.text("ram_style"))
        return Cell("xnor_mvu_axi", {**sizes, "AccWidth": self.out_bits(), "InitFile": memory, "RamStyle": style})

    def cost(self, part: str) -> Cost:
        """Popcounts, accumulators, input store and control, and the weights' memory.

        Without the memory within 3 % of Yosys for PE x SIMD from 4x9 to 16x72, 17 % too low for 1x32.
        """
        pe, simd = self.number("PE"), self.number("SIMD")
        if self.in_luts():
            return Cost(lut=luts(self.number("MH"), simd, pe, self.out_bits()))
        input_fold, output_fold = self.number("MW") // simd, self.number("MH") // pe
        simd *= self.positions
        # Above 39 positions the popcount is made of two and an adder.
        neuron = simd + 5 + (6 if simd > 39 else 0)
        bank = 1 << (input_fold - 1).bit_length()
        store = lut_ram(simd, 2 * bank) if output_fold > 1 and input_fold > 1 else 0
        control = 8 + 3 * (input_fold * output_fold).bit_length()
        return Cost(lut=pe * neuron + -(-simd // 3) + store + control) + self._weights()

    def _weights(self) -> Cost:
        """The memory of the weights: "auto" leaves up to 128 words in LUTs."""
        words, style, lanes = self.calc_wmem(), self.text("ram_style"), self.number("PE") * self.number("SIMD")
        block = style == "block" or (style == "auto" and words > 128)
        if not block and words <= LUT_RAM_DEPTH // 2:
            return Cost(lut=self.positions * lanes * float(np.interp(words, *FEW_WORDS)))
        memory = rom(lanes, words, block=block)
        return Cost(RANDOM_ROM * memory.lut, memory.bram36)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        weights = node.constant()
        if node.input_type(0).name != "BINARY" or not np.isin(weights, (0, 1)).all():
            raise node.refuse("is an XNOR product of other values than BINARY", "convert the graph to BINARY first")
        mw, mh = weights.shape
        padded = np.zeros((mh, -(-mw // 64) * 64), np.uint8)
        padded[:, :mw] = weights.T
        packed = emit.constant(np.ascontiguousarray(np.packbits(padded, axis=1, bitorder="little").view("<u8").T))
        parameters = [node.pixels(), mw, mh, node.sum_bits("accDataType")]
        emit.call(node, "xnor_mvau", parameters, emit.read(node), packed, emit.write_plain(node))


def set_sums(model: Any, product: Any, datatype: BaseDataType) -> None:
    """Let a matrix product, FINN's instance of it, keep its sums in a type and give them out like that."""
    product.set_nodeattr("accDataType", datatype.name)
    product.set_nodeattr("outputDataType", datatype.name)
    model.set_tensor_datatype(product.onnx_node.output[0], datatype)


def weight_words(weights: npt.NDArray[Any], pe: int, simd: int) -> list[str]:
    """ROM contents for (MW, MH) weights of 0 and 1, as hexadecimal words.

    Word nf * (MW/SIMD) + sf has at bit p * SIMD + s the weight of neuron nf * PE + p for input sf * SIMD + s.
    """
    mw, mh = weights.shape
    folded = weights.T.reshape(mh // pe, pe, mw // simd, simd).transpose(0, 2, 1, 3)
    bits = folded.reshape(-1, pe * simd).astype(np.uint8)
    digits = -(-pe * simd // 4)
    rows = np.packbits(bits, axis=-1, bitorder="little")
    return [f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}" for row in rows]
