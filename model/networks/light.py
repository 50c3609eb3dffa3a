# SPDX-License-Identifier: Apache-2.0
"""The layers of a hardware network in plain torch: fast to train, and the definition of what it computes."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from model.networks.kit import BinaryWeights
from model.networks.quantizers import (
    Formats,
    IntegerFormat,
    Quantize,
    ResidualAdd,
    ShiftedSign,
    SignWeight,
    floor_to,
    standardized,
)


class QuantConv2d(nn.Conv2d):
    """Convolution without bias whose weights are quantized to an integer format."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.format = fmt

    @override
    def forward(self, input: Tensor) -> Tensor:
        return functional.conv2d(input, Quantize.apply(self.weight, self.format), None, self.stride, self.padding)


class CheapConv2d(nn.Conv2d):
    """Grouped 3x3 convolution with quantized weights, of which the first `kept` outputs exist."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int, groups: int, kept: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, groups=groups, bias=False)
        self.format = fmt
        self.missing = outputs - kept
        self.out_channels = kept
        self.weight = nn.Parameter(self.weight.detach()[:kept].clone())

    @override
    def forward(self, input: Tensor) -> Tensor:
        weight = Quantize.apply(self.weight, self.format)
        # Groups have equally many outputs in torch: the last group's missing ones are computed and dropped.
        whole = functional.pad(weight, (0, 0, 0, 0, 0, 0, 0, self.missing))
        return functional.conv2d(input, whole, None, 1, 1, 1, self.groups)[:, : self.out_channels]


class QuantLinear(nn.Linear):
    """Linear layer without bias whose weights are quantized."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.format = fmt

    @override
    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, Quantize.apply(self.weight, self.format))


class BinaryConv2d(BinaryWeights, nn.Conv2d):
    """3x3 convolution of sign(x), padded with -1, with sign(w); its outputs are whole numbers.

    Computed as conv(sign + 1, zero padding) - sum(w), which is the same number.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    @override
    def forward(self, input: Tensor) -> Tensor:
        latent = standardized(self.weight) if self.standardized else self.weight
        weight = SignWeight.apply(latent) if self.binary_weights else latent
        # Signs keep the layout of a contiguous parameter, which is slow beside channels-last activations.
        fast = weight.contiguous(memory_format=torch.channels_last)
        signs = ShiftedSign.apply(input)
        return functional.conv2d(signs, fast, -weight.sum((1, 2, 3)), self.stride, self.padding)


class OptionAShortcut(nn.Module):
    """Every second pixel, with half of the channels that are missing as zeros before, and the rest after."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    @override
    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class ResidualSum(nn.Module):
    """Quantizes a branch, adds the shortcut, if there is one, and clips to the residual format, as Hardtanh does."""

    def __init__(self, formats: Formats) -> None:
        super().__init__()
        self.formats = formats

    def forward(self, branch: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = ResidualAdd.apply(branch, shortcut, self.formats)
        return result


ResidualQuantizer = ResidualSum
"""A sum of one: quantizes to the residual format."""


class QuantPReLU(nn.PReLU):
    """PReLU with one slope per channel, quantized to the residual format."""

    def __init__(self, formats: Formats, channels: int) -> None:
        super().__init__(channels)
        self.formats = formats

    def forward(self, input: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = Quantize.apply(super().forward(input), self.formats.residual)
        return result


class QuantPReLUSum(QuantPReLU):
    """Quantizes a branch, adds the shortcut, and gives PReLU of the sum in the residual format.

    For slopes >= 0 the way from the integer sum to the integer result is a monotone staircase.
    """

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:  # type: ignore[override]
        """Return multiples of the residual scale."""
        return super().forward(Quantize.apply(branch, self.formats.branch) + shortcut)


class Quantizer(nn.Module):
    """Quantizes to a format."""

    def __init__(self, fmt: IntegerFormat) -> None:
        super().__init__()
        self.format = fmt

    @override
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Quantize.apply(x, self.format)
        return result


class TruncPool(nn.Module):
    """Average of size x size windows, rounded down to a format."""

    def __init__(self, fmt: IntegerFormat, size: int) -> None:
        super().__init__()
        self.size = size
        self.format = fmt

    @override
    def forward(self, x: Tensor) -> Tensor:
        return floor_to(functional.avg_pool2d(x, self.size), self.format)
