# SPDX-License-Identifier: Apache-2.0
"""Windows of a picture with its padding, each in one beat: in front of every convolution that takes them whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from typing_extensions import override

from hw.cppsim.emitter import Buffer
from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.cost import lut_ram


class BinaryWindow_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """The Kernel x Kernel pixels of each window of a padded picture, in im2col's order.

    Input (1, height, width, NumChannels), output (1, rows, columns, Kernel^2 NumChannels), both of one datatype; FINN
    has it as FMPadding and ConvolutionInputGenerator. Padding is 0, which of BINARY pixels stands for -1.
    """

    label, role = "whole window", "move"

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        own = {
            "Kernel": ("i", True, 0),
            "Stride": ("i", True, 1),
            "Padding": ("i", True, 0),  # above and on the left
            "OFMDim": ("ints", True, []),
        }
        return {**super().get_nodeattr_types(), **own}

    @override
    def output_channels(self) -> int:
        return self.number("Kernel") ** 2 * self.number("NumChannels")

    @override
    def check(self) -> None:
        self.check_integer(self.get_input_datatype(), "pixels")
        if self.number("Kernel") < 2 or not 0 <= self.number("Padding") < self.number("Kernel"):
            raise self.refuse("Kernel must be at least 2, and Padding less")

    @override
    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (1, *self.numbers("OFMDim"), self.output_channels())

    @override
    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.numbers("numInputVectors"), 1, self.number("NumChannels"))

    @override
    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (1, *self.numbers("OFMDim"), 1, self.output_channels())

    @override
    def get_instream_width(self, ind: int = 0) -> int:
        return self.number("NumChannels") * self.in_bits()

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self.output_channels() * self.in_bits()

    def steps(self) -> tuple[int, int]:
        """Rows and columns of a frame's steps: the picture's, and those beyond it that windows read."""
        first = self.number("Kernel") - 1 - self.number("Padding")
        sizes = zip(self.numbers("numInputVectors")[1:], self.numbers("OFMDim"), strict=True)
        rows, columns = (max(size, first + (count - 1) * self.number("Stride") + 1) for size, count in sizes)
        return rows, columns

    @override
    def get_exp_cycles(self) -> int:
        rows, columns = self.steps()
        return rows * columns

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        (rows, columns), before, size = self.steps(), self.number("Padding"), self.number("Kernel")
        picture = context[self.onnx_node.input[0]]
        _, height, width, _ = picture.shape
        around = ((0, 0), (before, rows - height), (before, columns - width), (0, 0))
        views = np.lib.stride_tricks.sliding_window_view(np.pad(picture, around), (size, size), axis=(1, 2))
        strided = views[:, :: self.number("Stride"), :: self.number("Stride")].transpose(0, 1, 2, 4, 5, 3)
        shape = self.get_normal_output_shape()
        context[self.onnx_node.output[0]] = strided[:, : shape[1], : shape[2]].reshape(shape)

    @override
    def cell(self) -> Cell:
        _, height, width = self.numbers("numInputVectors")
        parameters = {"Height": height, "Width": width, "Channels": self.get_instream_width()}
        parameters |= {name: self.number(name) for name in ("Kernel", "Padding", "Stride")}
        parameters |= dict(zip(("OutHeight", "OutWidth"), self.numbers("OFMDim"), strict=True))
        return Cell("binary_window", parameters)

    @override
    def cost(self, part: str) -> Cost:
        """The rows above the window in LUT RAM, and position and handshakes."""
        lines = (self.number("Kernel") - 1) * self.get_instream_width()
        return Cost(lut=lut_ram(lines, self.numbers("numInputVectors")[2]) + 52)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        channels, (padded, geometry) = node.number("NumChannels"), pad(node, emit)
        kernel, group = ("packed_windows", []) if padded.packed else ("windows", [channels])
        emit.call(node, kernel, [geometry, channels, *group], padded, emit.write(node))


def pad(node: Node, emit: Emitter) -> tuple[Buffer, str]:
    """The picture with its padding, and its windows as a type of windows.h."""
    x = emit.read(node)
    _, height, width, channels = node.input_shape(0)
    rows, columns = node.operator.steps()
    before, size, stride = (node.number(name) for name in ("Padding", "Kernel", "Stride"))
    padded = emit.add(f"{node.name} padded", (1, before + rows, before + columns, channels), node.input_type(0))
    elements = -(-channels // 64) if x.packed else channels
    around = (before, before, rows - height, columns - width)
    emit.call(node, "pad", [height, width, elements, *around], x, padded)
    numbers = [before + rows, before + columns, size, size, stride, stride, 1, 1]
    return padded, f"Window<{', '.join(map(str, numbers))}>"
