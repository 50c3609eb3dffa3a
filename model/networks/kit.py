# SPDX-License-Identifier: Apache-2.0
"""What a network is made of: a kit is a set of layer factories, and there are three.

| kit | module | computes | made for |
|---|---|---|---|
| paper_kit | paper.py | the paper's real numbers between binary convolutions | comparison, training |
| hardware_kit | light.py | the hardware's integers, in plain torch | training, evaluation |
| hardware_kit | brevitas.py | the same numbers as light.py, bit for bit, and gradients | export |

The last two have the same layers, and these the same parameters, under the same names, so that weights move by
load_state_dict. From the paper's precision to the hardware's, weights move by transfer.to_hardware.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor, nn

from model.networks.quantizers import Formats

Precision = Literal["paper", "hardware"]


@dataclass(frozen=True)
class Kit:
    """Factories of the layers of a network; feature maps are (batch, channels, height, width).

    "Residual" below is the format between binary convolutions: 4 bits in hardware, real numbers in the paper.
    """

    # The integer formats of a hardware kit.
    formats: Formats | None
    # (inputs, outputs, kernel, stride): a convolution of pixels, padded with zeros to the same size.
    stem: Callable[[int, int, int, int], nn.Module]
    # (inputs, outputs, stride): a 3x3 convolution of signs with binary weights.
    binary_conv: Callable[[int, int, int], nn.Module]
    # (channels, gamma): a batch norm; a hardware kit lets its scale start at `gamma`.
    norm: Callable[[int, float], nn.BatchNorm2d]
    # (channels): the nonlinearity, Hardtanh or PReLU, that gives the residual format.
    activation: Callable[[int], nn.Module]
    # (channels): a module of (branch, shortcut): addition, then the nonlinearity.
    join: Callable[[int], nn.Module]
    # (): quantizes a shortcut to the residual format.
    requantize: Callable[[], nn.Module]
    # (inputs, outputs): the option-A shortcut: every second pixel, zero channels before and after.
    subsample: Callable[[int, int], nn.Module]
    # (size): an average pool of size x size windows, in the residual format.
    pool: Callable[[int], nn.Module]
    # (inputs, outputs, stride): the 1x1 convolution of a shortcut.
    shortcut_conv: Callable[[int, int, int], nn.Module]
    # (inputs, outputs): a 1x1 convolution of the recovery.
    fusion_conv: Callable[[int, int], nn.Module]
    # (inputs, outputs, groups, kept): the grouped 3x3 convolution of the recovery, of which `kept` outputs are used. A
    # hardware kit leaves the other outputs out, so `out_channels` says how many there are.
    cheap_conv: Callable[[int, int, int, int], nn.Conv2d]
    # (): quantizes the pooled features.
    head_quantizer: Callable[[], nn.Module]
    # (inputs, outputs): the classifier; only the paper's has a bias.
    linear: Callable[[int, int], nn.Module]


def hardware_kit(layers: ModuleType, prelu: bool, formats: Formats) -> Kit:
    """Return the kit of a hardware network, made of the layers of light.py or of brevitas.py."""
    residual = partial(layers.ResidualQuantizer, formats)
    return Kit(
        formats=formats,
        stem=partial(layers.QuantConv2d, formats.stem_weight),
        binary_conv=layers.BinaryConv2d,
        norm=_batch_norm,
        activation=partial(layers.QuantPReLU, formats) if prelu else lambda _channels: residual(),
        join=partial(layers.QuantPReLUSum, formats) if prelu else lambda _channels: layers.ResidualSum(formats),
        requantize=residual,
        subsample=layers.OptionAShortcut,
        pool=partial(layers.TruncPool, formats.residual),
        shortcut_conv=lambda inputs, outputs, stride: layers.QuantConv2d(
            formats.shortcut_weight, inputs, outputs, 1, stride
        ),
        fusion_conv=partial(layers.QuantConv2d, formats.fusion_weight, kernel=1),
        cheap_conv=partial(layers.CheapConv2d, formats.fusion_weight),
        head_quantizer=partial(layers.Quantizer, formats.head),
        linear=partial(layers.QuantLinear, formats.linear_weight),
    )


def _batch_norm(channels: int, gamma: float) -> nn.BatchNorm2d:
    """Return a batch norm whose scale starts at `gamma`; below 1, it does not saturate the clipped range."""
    norm = nn.BatchNorm2d(channels)
    nn.init.constant_(norm.weight, gamma)
    return norm


class BinaryWeights:
    """A binary convolution; with `binary_weights` off, as in the first step of ImageNet, its weights are real.

    With `standardized`, the signs are those of its weights centred and scaled.
    """

    binary_weights = True
    standardized = False


class Concat(nn.Module):
    """Concatenates feature maps along their channels."""

    def forward(self, *features: Tensor) -> Tensor:
        """Map tensors (batch, channels i, h, w) to (batch, sum of channels, h, w)."""
        return torch.cat(features, 1)
