# SPDX-License-Identifier: Apache-2.0
"""The paper kit: real-valued stem, shortcuts, recovery and classifier, zero padding, Hardtanh or PReLU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.kit import BinaryWeights
from model.layers import OptionAShortcut
from model.quantizers import Formats, Sign, ZeroSignWeight


class PaperBinaryConv2d(BinaryWeights, nn.Conv2d):
    """3x3 convolution of sign(x), padded with zeros, with sign(w)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Binarize and convolve."""
        weight = ZeroSignWeight.apply(self.weight) if self.binary_weights else self.weight
        # Signs keep the layout of a contiguous parameter, which is slow beside channels-last activations.
        fast = weight.contiguous(memory_format=torch.channels_last)
        return functional.conv2d(Sign.apply(input), fast, None, self.stride, 1)


class ColumnBinaryConv2d(BinaryWeights, nn.Module):
    """The same convolution with its weights in one column, (outputs * inputs * 9, 1), as the ImageNet code has them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shape = (outputs, inputs, 3, 3)
        self.stride = stride
        weight = torch.empty(self.shape)
        nn.init.kaiming_normal_(weight)
        self.weights = nn.Parameter(weight.view(-1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """Binarize and convolve."""
        weight = self.weights.view(self.shape)
        if self.binary_weights:
            weight = ZeroSignWeight.apply(weight)
        return functional.conv2d(Sign.apply(input), weight, None, self.stride, 1)


class HardtanhSum(nn.Module):
    """Hardtanh of branch + shortcut."""

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:
        """Return values in [-1, 1]."""
        return functional.hardtanh(branch + shortcut)


class PReLUSum(nn.PReLU):
    """PReLU of branch + shortcut."""

    def forward(self, branch: Tensor, shortcut: Tensor) -> Tensor:  # type: ignore[override]
        """Return real numbers."""
        return super().forward(branch + shortcut)


class PaperKit:
    """The paper's layers: with PReLU those of its ImageNet networks, else those of CIFAR-10."""

    def __init__(self, prelu: bool) -> None:
        self.prelu = prelu
        self.formats: Formats | None = None
        self.input_scale: float | None = None

    def stem(self, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
        """See Kit."""
        return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)

    def binary_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """See Kit."""
        return (ColumnBinaryConv2d if self.prelu else PaperBinaryConv2d)(inputs, outputs, stride)

    def norm(self, channels: int, gamma: float) -> nn.BatchNorm2d:
        """See Kit."""
        return nn.BatchNorm2d(channels)

    def activation(self, channels: int) -> nn.Module:
        """See Kit."""
        return nn.PReLU(channels) if self.prelu else nn.Hardtanh()

    def join(self, channels: int) -> nn.Module:
        """See Kit."""
        return PReLUSum(channels) if self.prelu else HardtanhSum()

    def requantize(self) -> nn.Module:
        """See Kit."""
        return nn.Identity()

    def subsample(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return OptionAShortcut(inputs, outputs)

    def pool(self, size: int) -> nn.Module:
        """See Kit."""
        return nn.AvgPool2d(size)

    def shortcut_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """See Kit."""
        return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def fusion_conv(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return nn.Conv2d(inputs, outputs, 1, bias=False)

    def cheap_conv(self, inputs: int, outputs: int, groups: int, kept: int) -> nn.Conv2d:
        """See Kit; the outputs that are not kept exist, as in the published code."""
        return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False)

    def head_quantizer(self) -> nn.Module:
        """See Kit."""
        return nn.Identity()

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """See Kit."""
        return nn.Linear(inputs, outputs)
