# SPDX-License-Identifier: Apache-2.0
"""What a hardware node costs on a 7-series device, before anything is synthesised.

The operators of this project estimate themselves. The figures for FINN's RTL nodes are fitted to what Yosys made of
resnet20's and tiny's nodes. They serve to choose between foldings; synthesis has the last word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hw.ops.cell_op import CellOp
from hw.ops.width_converter import luts

BRAM18_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Depth and width of half a block RAM."""
LUT_RAM_DEPTH = 64
RANDOM_ROM = 4.5
"""How many LUTs Yosys takes for a ROM of random bits and more than 32 words where one would do."""
FIFOS = 0.1
"""Share of the other nodes' LUTs that FIFOs add (resnet20: 0.10, tiny: 0.14); only simulation knows them."""
Shares = tuple[float, float, float]
"""Of LUTs, block RAMs and DSP blocks."""


@dataclass(frozen=True)
class Budget:
    """Resources that a design may use: LUTs, block RAMs of 36 kbit, DSP blocks."""

    lut: int
    bram36: int
    dsp: int


@dataclass(frozen=True)
class Cost:
    """Estimated resources."""

    lut: float = 0.0
    bram36: float = 0.0
    dsp: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.lut + other.lut, self.bram36 + other.bram36, self.dsp + other.dsp)

    def shares(self, budget: Budget) -> Shares:
        """What is used of each resource, 1 for all of it."""
        return (
            self.lut / max(budget.lut, 1),
            self.bram36 / max(budget.bram36, 1),
            self.dsp / max(budget.dsp, 1),
        )

    def excess(self, budget: Budget) -> list[str]:
        """One text for every resource of which there is too little, "needs 60000 LUT of 42560"."""
        rows = (
            ("LUT", self.lut, budget.lut),
            ("BRAM36", self.bram36, budget.bram36),
            ("DSP", self.dsp, budget.dsp),
        )
        return [f"{math.ceil(need)} {name} of {have}" for name, need, have in rows if need > have]


def rom(width: int, depth: int, *, block: bool) -> Cost:
    """A memory of ``depth`` words that is only read, in LUTs or in block RAM."""
    if not block:
        return Cost(lut=width * math.ceil(depth / LUT_RAM_DEPTH))
    halves = min(math.ceil(width / w) * math.ceil(depth / d) for d, w in BRAM18_SHAPES)
    return Cost(bram36=halves / 2)


def ram(width: int, depth: int, *, block: bool) -> Cost:
    """A memory with one write and one read port; as LUT RAM it takes 4 LUTs for 3 bits."""
    if block:
        return rom(width, depth, block=True)
    return Cost(lut=width * math.ceil(depth / LUT_RAM_DEPTH) * 4 / 3)


def converter(source: int, sink: int, bits: int) -> Cost:
    """A width converter from beats of ``source`` elements to beats of ``sink`` elements of ``bits`` bits."""
    return Cost() if source == sink else Cost(lut=luts(source * bits, sink * bits))


def node_cost(op: Any, part: str, *, block: bool = False) -> Cost:
    """Cost of one specialised node with the folding that its attributes say.

    Args:
        op: FINN's or this project's custom operator.
        part: the FPGA part, e.g. xc7z020clg400-1.
        block: hold its constants or its line buffer in block RAM.
    """
    kind = op.onnx_node.op_type
    if kind == "XnorMVAU_rtl":
        return _xnor(op, part, block)
    if isinstance(op, CellOp):
        return Cost(op.lut_estimation(part), op.bram_estimation(part) / 2, op.dsp_estimation(part))
    estimators = {
        "Thresholding": _thresholding,
        "ConvolutionInputGenerator": _window,
        "MVAU": _product,
        "FMPadding": _padding,
    }
    for prefix, estimator in estimators.items():
        if kind.startswith(prefix):
            return estimator(op, part, block)
    return Cost()


def _xnor(op: Any, part: str, block: bool) -> Cost:
    words = (op.get_nodeattr("MH") // op.get_nodeattr("PE")) * (op.get_nodeattr("MW") // op.get_nodeattr("SIMD"))
    weights = rom(op.get_nodeattr("PE") * op.get_nodeattr("SIMD"), words, block=block)
    if words > LUT_RAM_DEPTH // 2:
        weights = Cost(RANDOM_ROM * weights.lut, weights.bram36)
    return Cost(lut=op.lut_estimation(part)) + weights


def _thresholding(op: Any, part: str, block: bool) -> Cost:
    pe, folds = op.get_nodeattr("PE"), op.get_nodeattr("NumChannels") // op.get_nodeattr("PE")
    bits = op.get_input_datatype(1).bitwidth()
    cost = Cost(lut=20)
    for stage in range(op.get_output_datatype().bitwidth()):
        depth = folds * 2**stage
        cost += Cost(lut=pe * (bits + 3))
        memory = rom(bits, depth, block=block and depth > LUT_RAM_DEPTH)
        cost += Cost(pe * memory.lut, pe * memory.bram36)
    return cost


def _window(op: Any, part: str, block: bool) -> Cost:
    width = op.get_nodeattr("SIMD") * op.get_input_datatype().bitwidth()
    depth = op.get_buffer_depth()
    if op.get_nodeattr("parallel_window"):
        # One short line buffer a row of the window, the rest are registers.
        rows = op.get_nodeattr("ConvKernelDim")[0] - 1
        return Cost(lut=85 + rows * ram(width, depth // max(rows, 1), block=False).lut)
    # A 1x1 kernel, which only leaves out pixels, counts less.
    control = 100 if max(op.get_nodeattr("ConvKernelDim")) == 1 else 225
    return Cost(lut=control) + ram(width, depth, block=block)


def _product(op: Any, part: str, block: bool) -> Cost:
    pe, simd = op.get_nodeattr("PE"), op.get_nodeattr("SIMD")
    bits = op.get_input_datatype(1).bitwidth()
    lanes = 4 if bits <= 4 else 2
    words = (op.get_nodeattr("MH") // pe) * (op.get_nodeattr("MW") // simd)
    core = Cost(lut=100 + 20 * pe * simd, dsp=math.ceil(pe / lanes) * simd)
    return core + rom(pe * simd * bits, words, block=block)


def _padding(op: Any, part: str, block: bool) -> Cost:
    return Cost(lut=60 + op.get_nodeattr("SIMD") * op.get_input_datatype().bitwidth() / 2)
