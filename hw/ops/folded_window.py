# SPDX-License-Identifier: Apache-2.0
"""Windows of a picture with its padding, some channels at a time: in front of what computes with channels apart."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from hw.ops.binary_window import BinaryWindow_rtl, pad
from hw.ops.cell_op import Cell, CellOp, Cost, Emitter, Node
from hw.ops.cost import ram
from hw.ops.operator import LUTS_OR_BLOCK_RAM
from hw.ops.wrapper import quoted


class FoldedWindow_rtl(BinaryWindow_rtl):  # noqa: N801  FINN's naming
    """The windows of BinaryWindow_rtl, PE channels a beat, in the order of `hw.ops.interleaved`.

    FINN has it as FMPadding and a depthwise ConvolutionInputGenerator.
    """

    label, role = "window", "move"
    divides = (("PE", "NumChannels"),)
    memories = LUTS_OR_BLOCK_RAM

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {"ram_style": ("s", False, "auto", {"auto", "block", "distributed"})}
        return {**super().get_nodeattr_types(), **own}

    @override
    def check(self) -> None:
        super().check()
        if self.in_bits() == 1:
            raise self.refuse("has pixels of bits, which BinaryWindow_rtl makes whole windows of")

    @override
    def interleaves(self) -> bool:
        return True

    def _folds(self) -> int:
        return self.number("NumChannels") // self.number("PE")

    @override
    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.numbers("numInputVectors"), self._folds(), self.number("PE"))

    @override
    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (1, *self.numbers("OFMDim"), self._folds() * self.number("Kernel") ** 2, self.number("PE"))

    @override
    def get_instream_width(self, ind: int = 0) -> int:
        return self.number("PE") * self.in_bits()

    get_outstream_width = get_instream_width

    @override
    def get_exp_cycles(self) -> int:
        return CellOp.get_exp_cycles(self)

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        super().execute_python(context, graph)
        name = self.onnx_node.output[0]
        taps = context[name].reshape(-1, self.number("Kernel") ** 2, self._folds(), self.number("PE"))
        context[name] = taps.swapaxes(1, 2).reshape(self.get_normal_output_shape())

    @override
    def cell(self) -> Cell:
        whole = super().cell()
        own = {"PE": self.number("PE"), "InWidth": self.in_bits(), "Channels": self.number("NumChannels")}
        return Cell("folded_window", {**whole.parameters, **own, "RamStyle": quoted(self.text("ram_style"))})

    @override
    def cost(self, part: str) -> Cost:
        """The ring, and position and handshakes."""
        kernel, padding, stride = (self.number(name) for name in ("Kernel", "Padding", "Stride"))
        rows = max(kernel + stride - 1, 2 * (kernel - padding) - 1)  # of the picture, before a window begins anew
        beats = (rows * self.numbers("numInputVectors")[2] + kernel - padding) * self._folds()
        depth, block = 1 << (beats - 1).bit_length(), self.text("ram_style") == "block"
        return Cost(lut=100) + ram(self.get_instream_width(), depth, block=block)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        padded, geometry = pad(node, emit)
        emit.call(node, "windows", [geometry, node.number("NumChannels"), node.number("PE")], padded, emit.write(node))
