# SPDX-License-Identifier: Apache-2.0
"""The paper kit: real-valued stem, shortcuts, recovery and classifier, zero padding, Hardtanh or PReLU."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from model.networks.kit import BinaryWeights, Kit
from model.networks.light import BinaryConv2d, OptionAShortcut
from model.networks.quantizers import Sign, ZeroSignWeight


class PaperBinaryConv2d(BinaryConv2d):
    """3x3 convolution of sign(x), padded with zeros, with sign(w)."""

    @override
    def forward(self, input: Tensor) -> Tensor:
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

    @override
    def forward(self, input: Tensor) -> Tensor:
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


def paper_kit(prelu: bool) -> Kit:
    """Return the paper's layers: with PReLU those of its ImageNet networks, else those of CIFAR-10."""
    return Kit(
        formats=None,
        stem=lambda inputs, outputs, kernel, stride: nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, bias=False
        ),
        binary_conv=ColumnBinaryConv2d if prelu else PaperBinaryConv2d,
        norm=lambda channels, _gamma: nn.BatchNorm2d(channels),
        activation=nn.PReLU if prelu else lambda _channels: nn.Hardtanh(),
        join=PReLUSum if prelu else lambda _channels: HardtanhSum(),
        requantize=nn.Identity,
        subsample=OptionAShortcut,
        pool=nn.AvgPool2d,
        shortcut_conv=lambda inputs, outputs, stride: nn.Conv2d(inputs, outputs, 1, stride, bias=False),
        fusion_conv=lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1, bias=False),
        # The outputs that are not kept exist, as in the published code.
        cheap_conv=lambda inputs, outputs, groups, _kept: nn.Conv2d(
            inputs, outputs, 3, padding=1, groups=groups, bias=False
        ),
        head_quantizer=nn.Identity,
        linear=nn.Linear,
    )
