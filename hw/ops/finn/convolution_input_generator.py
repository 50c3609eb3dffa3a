# SPDX-License-Identifier: Apache-2.0
"""Sliding windows over a picture."""

from __future__ import annotations

import math

from typing_extensions import override

from hw.ops.cost import ram
from hw.ops.operator import LUTS_OR_BLOCK_RAM, Cost, Emitter, FinnOperator, Folding, Node


class ConvolutionInputGenerator(FinnOperator):
    """Each window's pixels, element by element, or a whole window in a beat (parallel_window)."""

    label, role = "window", "move"
    divides = (("SIMD", "IFMChannels"),)
    memories = LUTS_OR_BLOCK_RAM

    @override
    def folds(self) -> list[Folding]:
        foldings = super().folds()
        whole = [foldings[-1] | {"parallel_window": 1}] if self._makes_whole_windows() else []
        return [folding | {"parallel_window": 0} for folding in foldings] + whole

    def _makes_whole_windows(self) -> bool:
        """Whether FINN's generator of whole windows works for this node.

        It keeps what lies between two rows of a window in a memory, which must have two words or more: with one word it
        gives wrong windows. And it counts the windows from two on.
        """
        (height, width), (down, across) = self.numbers("ConvKernelDim"), self.numbers("Dilation")
        between = self.numbers("IFMDim")[1] * down - ((width - 1) * across + 1)
        windows = math.prod(self.numbers("OFMDim"))
        return not self.interleaves() and height * width > 1 and windows > 2 and (height == 1 or between > 1)

    @override
    def interleaves(self) -> bool:
        return bool(self.number("depthwise"))

    @override
    def cost(self, part: str) -> Cost:
        width, depth = self.number("SIMD") * self.op.get_input_datatype().bitwidth(), self.op.get_buffer_depth()
        kernel = self.numbers("ConvKernelDim")
        if self.number("parallel_window"):
            # One short line buffer for each row of the window, the rest are registers.
            rows = kernel[0] - 1
            return Cost(lut=85 + rows * ram(width, depth // max(rows, 1), block=False).lut)
        # A 1x1 kernel, which only leaves out pixels, counts less.
        control = 100 if max(kernel) == 1 else 225
        return Cost(lut=control) + ram(width, depth, block=self.text("ram_style") == "block")

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        channels = node.number("IFMChannels")
        numbers = [n for name in ("IFMDim", "ConvKernelDim", "Stride", "Dilation") for n in node.numbers(name)]
        geometry = f"Window<{', '.join(map(str, numbers))}>"
        # FINN's generic generator keeps im2col's order even where it is depthwise.
        interleaved = node.number("depthwise") and node.op_type == "ConvolutionInputGenerator_rtl"
        group = node.number("SIMD") if interleaved else channels
        if emit.read(node).packed and group == channels:
            emit.call(node, "packed_windows", [geometry, channels], emit.read(node), emit.write(node))
        else:
            emit.compute(node, "windows", [geometry, channels, group])
