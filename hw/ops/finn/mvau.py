# SPDX-License-Identifier: Apache-2.0
"""Matrix-vector product of integers of several bits."""

from __future__ import annotations

import math

from typing_extensions import override

from hw.cppsim.interface import integer_type
from hw.ops.cost import rom
from hw.ops.operator import LUTS_OR_BLOCK_RAM, Cost, Emitter, FinnOperator, Folding, Node
from hw.ops.xnor_mvau import XnorMVAU_rtl


class MVAU(FinnOperator):
    """The weights are constants; thresholds stay a node of their own."""

    label, role = "mvu", "compute"
    divides = XnorMVAU_rtl.divides
    memories = LUTS_OR_BLOCK_RAM

    def folds(self) -> list[Folding]:
        """SIMD = MW is left out: FINN's queue is too short for a result every cycle, and loses some when stalled."""
        widest = max(self.number("MW") // 2, 1)
        return [folding for folding in super().folds() if folding["SIMD"] <= widest]

    @override
    def cost(self, part: str) -> Cost:
        pe, simd, bits = self.number("PE"), self.number("SIMD"), self.op.get_input_datatype(1).bitwidth()
        lanes = 4 if bits <= 4 else 2
        words = (self.number("MH") // pe) * (self.number("MW") // simd)
        core = Cost(lut=100 + 20 * pe * simd, dsp=math.ceil(pe / lanes) * simd)
        return core + rom(pe * simd * bits, words, block=self.text("ram_style") == "block")

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        if not node.number("noActivation"):
            raise node.refuse("has built-in thresholds", "make them a node of their own (noActivation = 1)")
        if node.number("binaryXnorMode"):
            XnorMVAU_rtl.kernel(node, emit)
            return
        weights, datatype = node.constant(), node.text("weightDataType")
        if "BIPOLAR" in (node.input_type(0).name, node.output_type(0).name) and datatype == "BIPOLAR":
            raise node.refuse("multiplies BIPOLAR by BIPOLAR", "convert the graph to BINARY first")
        kind = integer_type("INT8" if datatype == "BINARY" else datatype)
        parameters = [node.pixels(), *weights.shape, node.sum_bits("accDataType")]
        emit.compute(node, "mvau", parameters, weights.astype(kind.dtype))
