# SPDX-License-Identifier: Apache-2.0
"""The light kit: the layers of a hardware network in plain torch, made for training."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.kit import BinaryWeights, ClippedResidual
from model.quantizers import (
    INPUT_SCALE,
    Formats,
    IntegerFormat,
    Quantize,
    ResidualAdd,
    ShiftedSign,
    SignWeight,
    floor_to,
)


class WeightQuantConv2d(nn.Conv2d):
    """Convolution without bias whose weights are quantized to an integer format."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.format = fmt

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the quantized weights."""
        return functional.conv2d(input, Quantize.apply(self.weight, self.format), None, self.stride, self.padding)


class CheapConv2d(nn.Conv2d):
    """Grouped 3x3 convolution with quantized weights, of which the first `kept` outputs exist."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int, groups: int, kept: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, groups=groups, bias=False)
        self.format = fmt
        self.missing = outputs - kept
        self.out_channels = kept
        self.weight = nn.Parameter(self.weight.detach()[:kept].clone())

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the quantized weights."""
        weight = Quantize.apply(self.weight, self.format)
        if not self.missing:
            return functional.conv2d(input, weight, None, 1, 1, 1, self.groups)
        # Groups have equally many outputs in torch: the last group's missing ones are computed and dropped.
        whole = functional.pad(weight, (0, 0, 0, 0, 0, 0, 0, self.missing))
        return functional.conv2d(input, whole, None, 1, 1, 1, self.groups)[:, : self.out_channels]


class QuantLinear(nn.Linear):
    """Linear layer without bias whose weights are quantized."""

    def __init__(self, fmt: IntegerFormat, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.format = fmt

    def forward(self, input: Tensor) -> Tensor:
        """Multiply with the quantized weights."""
        return functional.linear(input, Quantize.apply(self.weight, self.format))


class BinaryConv2d(BinaryWeights, nn.Conv2d):
    """3x3 convolution of sign(x), padded with -1, with sign(w); its outputs are whole numbers.

    Computed as conv(sign + 1, zero padding) - sum(w), which is the same number.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Binarize and convolve."""
        weight = SignWeight.apply(self.weight) if self.binary_weights else self.weight
        # Signs keep the layout of a contiguous parameter, which is slow beside channels-last activations.
        fast = weight.contiguous(memory_format=torch.channels_last)
        return functional.conv2d(ShiftedSign.apply(input), fast, -weight.sum((1, 2, 3)), self.stride, self.padding)


class OptionAShortcut(nn.Module):
    """Every second pixel, with half of the channels that are missing as zeros before, and the rest after."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Sub-sample and pad the channels."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class ResidualQuantizer(ClippedResidual, nn.Module):
    """Quantizes to the residual format, whose range takes the place of Hardtanh."""

    def __init__(self, formats: Formats) -> None:
        super().__init__()
        self.formats = formats

    def forward(self, x: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = ResidualAdd.apply(x, None, self.formats, self.leak)
        return result


class ResidualSum(ClippedResidual, nn.Module):
    """Quantizes a branch, adds the shortcut, and clips to the residual format."""

    def __init__(self, formats: Formats) -> None:
        super().__init__()
        self.formats = formats

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = ResidualAdd.apply(branch, shortcut, self.formats, self.leak)
        return result


class QuantPReLU(ClippedResidual, nn.PReLU):
    """PReLU with a slope a channel, quantized to the residual format."""

    def __init__(self, channels: int, formats: Formats) -> None:
        super().__init__(channels)
        self.formats = formats

    def forward(self, input: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = Quantize.apply(super().forward(input), self.formats.residual, self.leak)
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

    def forward(self, x: Tensor) -> Tensor:
        """Return multiples of the format's scale."""
        result: Tensor = Quantize.apply(x, self.format)
        return result


class TruncPool(nn.Module):
    """Average of size x size windows, rounded down to a format."""

    def __init__(self, size: int, fmt: IntegerFormat) -> None:
        super().__init__()
        self.size = size
        self.format = fmt

    def forward(self, x: Tensor) -> Tensor:
        """Pool and round down."""
        return floor_to(functional.avg_pool2d(x, self.size), self.format)


class LightKit:
    """The plain torch layers: fast to train, and the definition of what a hardware network computes."""

    def __init__(self, prelu: bool, formats: Formats) -> None:
        self.prelu = prelu
        self.formats: Formats | None = formats
        self.input_scale: float | None = INPUT_SCALE
        self._formats = formats

    def stem(self, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
        """See Kit."""
        return WeightQuantConv2d(self._formats.stem_weight, inputs, outputs, kernel, stride=stride)

    def binary_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """See Kit."""
        return BinaryConv2d(inputs, outputs, stride)

    def norm(self, channels: int, gamma: float) -> nn.BatchNorm2d:
        """See Kit."""
        return batch_norm(channels, gamma)

    def activation(self, channels: int) -> nn.Module:
        """See Kit."""
        return QuantPReLU(channels, self._formats) if self.prelu else ResidualQuantizer(self._formats)

    def join(self, channels: int) -> nn.Module:
        """See Kit."""
        return QuantPReLUSum(channels, self._formats) if self.prelu else ResidualSum(self._formats)

    def requantize(self) -> nn.Module:
        """See Kit."""
        return ResidualQuantizer(self._formats)

    def subsample(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return OptionAShortcut(inputs, outputs)

    def pool(self, size: int) -> nn.Module:
        """See Kit."""
        return TruncPool(size, self._formats.residual)

    def shortcut_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """See Kit."""
        return WeightQuantConv2d(self._formats.shortcut_weight, inputs, outputs, 1, stride=stride)

    def fusion_conv(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return WeightQuantConv2d(self._formats.fusion_weight, inputs, outputs, 1)

    def cheap_conv(self, inputs: int, outputs: int, groups: int, kept: int) -> nn.Conv2d:
        """See Kit."""
        return CheapConv2d(self._formats.fusion_weight, inputs, outputs, groups, kept)

    def head_quantizer(self) -> nn.Module:
        """See Kit."""
        return Quantizer(self._formats.head)

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return QuantLinear(self._formats.linear_weight, inputs, outputs)


def batch_norm(channels: int, gamma: float) -> nn.BatchNorm2d:
    """Return a batch norm whose scale starts at `gamma`; below 1, it does not saturate the clipped range."""
    norm = nn.BatchNorm2d(channels)
    nn.init.constant_(norm.weight, gamma)
    return norm
