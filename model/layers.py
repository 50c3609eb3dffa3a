# SPDX-License-Identifier: Apache-2.0
"""The layers of a network, in the light kit, and the residual block that either kit builds.

A kit is a set of layer factories. The light kit here is plain torch and made for training; the kit in
brevitas_layers.py is made for export. Both give layers with the same parameters under the same names, so that
weights move by load_state_dict, and in evaluation mode both compute the same numbers, bit for bit.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.quantizers import (
    FUSION_WEIGHT,
    HEAD,
    LINEAR_WEIGHT,
    RESIDUAL,
    STEM_WEIGHT,
    IntegerFormat,
    Quantize,
    ResidualAdd,
    ShiftedSign,
    SignWeight,
    floor_to,
)


class Kit(Protocol):
    """Factories of the layers of a network; feature maps are (batch, channels, height, width)."""

    def stem(self, inputs: int, outputs: int) -> nn.Module:
        """Return a 3x3 convolution with 8-bit weights, zero padding 1."""

    def binary_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """Return a 3x3 convolution of signs with binary weights, padded with -1."""

    def shortcut(self, inputs: int, outputs: int) -> nn.Module:
        """Return the option-A shortcut: every second pixel, zero channels before and after."""

    def quantizer(self) -> nn.Module:
        """Return a module that quantizes to the residual format."""

    def residual_add(self) -> nn.Module:
        """Return a module of (branch, shortcut) that adds in the residual format."""

    def trunc_pool(self, size: int) -> nn.Module:
        """Return an average pool of size x size windows, rounded down to the residual format."""

    def pointwise(self, inputs: int, outputs: int) -> nn.Module:
        """Return a 1x1 convolution with fusion weights."""

    def grouped(self, inputs: int, outputs: int) -> nn.Module:
        """Return a 3x3 convolution with fusion weights and one group for each input channel."""

    def head_quantizer(self) -> nn.Module:
        """Return a module that quantizes to the head format."""

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """Return a classifier without bias."""


class WeightQuantConv2d(nn.Conv2d):
    """Convolution without bias whose weights are quantized to an integer format."""

    def __init__(
        self, fmt: IntegerFormat, inputs: int, outputs: int, kernel: int, *, padding: int = 0, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, padding=padding, groups=groups, bias=False)
        self.format = fmt

    def forward(self, input: Tensor) -> Tensor:
        """Convolve with the quantized weights."""
        return functional.conv2d(
            input, Quantize.apply(self.weight, self.format), padding=self.padding, groups=self.groups
        )


class QuantLinear(nn.Linear):
    """Linear layer without bias whose weights are quantized to the classifier's format."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Multiply with the quantized weights."""
        return functional.linear(input, Quantize.apply(self.weight, LINEAR_WEIGHT))


class BinaryConv2d(nn.Conv2d):
    """3x3 convolution of sign(x), padded with -1, with sign(w); its outputs are whole numbers.

    Computed as conv(sign + 1, zero padding) - sum(w), which is the same number.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Binarize and convolve."""
        weight = SignWeight.apply(self.weight)
        # Signs keep the layout of a contiguous parameter, which is slow beside channels-last activations.
        fast = weight.contiguous(memory_format=torch.channels_last)
        return functional.conv2d(ShiftedSign.apply(input), fast, -weight.sum((1, 2, 3)), self.stride, self.padding)


class OptionAShortcut(nn.Module):
    """Every second pixel, with (outputs - inputs) / 2 zero channels before and after."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.extra = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Sub-sample and pad the channels."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))


class ResidualQuantizer(nn.Module):
    """Quantizes to the residual format."""

    def forward(self, x: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = ResidualAdd.apply(x, None)
        return result


class ResidualSum(nn.Module):
    """Quantizes a branch, adds the shortcut, and clips to the residual format."""

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return multiples of the residual scale."""
        result: Tensor = ResidualAdd.apply(branch, shortcut)
        return result


class HeadQuantizer(nn.Module):
    """Quantizes the pooled features."""

    def forward(self, x: Tensor) -> Tensor:
        """Return multiples of the head's scale."""
        result: Tensor = Quantize.apply(x, HEAD)
        return result


class TruncPool(nn.Module):
    """Average of size x size windows, rounded down to the residual format."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Pool and round down."""
        return floor_to(functional.avg_pool2d(x, self.size), RESIDUAL)


class LightKit:
    """The plain torch layers: fast to train, and the definition of what a network computes."""

    def stem(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return WeightQuantConv2d(STEM_WEIGHT, inputs, outputs, 3, padding=1)

    def binary_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """See Kit."""
        return BinaryConv2d(inputs, outputs, stride)

    def shortcut(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return OptionAShortcut(inputs, outputs)

    def quantizer(self) -> nn.Module:
        """See Kit."""
        return ResidualQuantizer()

    def residual_add(self) -> nn.Module:
        """See Kit."""
        return ResidualSum()

    def trunc_pool(self, size: int) -> nn.Module:
        """See Kit."""
        return TruncPool(size)

    def pointwise(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return WeightQuantConv2d(FUSION_WEIGHT, inputs, outputs, 1)

    def grouped(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return WeightQuantConv2d(FUSION_WEIGHT, inputs, outputs, 3, padding=1, groups=inputs)

    def head_quantizer(self) -> nn.Module:
        """See Kit."""
        return HeadQuantizer()

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return QuantLinear(inputs, outputs)


def batch_norm(channels: int, gamma: float) -> nn.BatchNorm2d:
    """Return a batch norm whose scale starts at `gamma`; below 1, it does not saturate the clipped range."""
    norm = nn.BatchNorm2d(channels)
    nn.init.constant_(norm.weight, gamma)
    return norm


class Block(nn.Module):
    """Two binary convolutions, each with its own shortcut (Bi-Real Net); the first may halve the picture."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = kit.binary_conv(inputs, outputs, stride)
        self.bn1 = batch_norm(outputs, 0.3)
        self.conv2 = kit.binary_conv(outputs, outputs, 1)
        self.bn2 = batch_norm(outputs, 0.3)
        self.shortcut = nn.Identity() if stride == 1 else kit.shortcut(inputs, outputs)
        self.add1 = kit.residual_add()
        self.add2 = kit.residual_add()

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride), in the residual format."""
        middle = self.add1(self.bn1(self.conv1(x)), self.shortcut(x))
        result: Tensor = self.add2(self.bn2(self.conv2(middle)), middle)
        return result
