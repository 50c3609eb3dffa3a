# SPDX-License-Identifier: Apache-2.0
"""What a network is made of: a kit is a set of layer factories, and there are three.

| kit | module | computes | made for |
|---|---|---|---|
| PaperKit | paper_layers.py | the paper's real numbers between binary convolutions | comparison, training |
| LightKit | layers.py | the hardware's integers, in plain torch | training, evaluation |
| BrevitasKit | brevitas_layers.py | the same numbers as LightKit, bit for bit, and gradients | export |

The last two have the same parameters under the same names, so that weights move by load_state_dict. From the
paper's precision to the hardware's, weights move by transfer.to_hardware.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from model.quantizers import Formats

Precision = Literal["paper", "hardware", "real"]
"""Real is that of teachers, which have no binary convolutions."""


class Kit(Protocol):
    """Factories of the layers of a network; feature maps are (batch, channels, height, width).

    "Residual" below is the format between binary convolutions: 4 bits in hardware, real numbers in the paper.
    """

    formats: Formats | None
    """The integer formats of a hardware kit."""

    input_scale: float | None
    """What pixel values are multiplied with in front of the stem; None: they come normalised."""

    def stem(self, inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
        """Return a convolution of pixels, padded with zeros to the same size."""

    def binary_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """Return a 3x3 convolution of signs with binary weights."""

    def norm(self, channels: int, gamma: float) -> nn.BatchNorm2d:
        """Return a batch norm; a hardware kit lets its scale start at `gamma`."""

    def activation(self, channels: int) -> nn.Module:
        """Return the nonlinearity, Hardtanh or PReLU, that gives the residual format."""

    def join(self, channels: int) -> nn.Module:
        """Return a module of (branch, shortcut): addition, then the nonlinearity."""

    def requantize(self) -> nn.Module:
        """Return a module that quantizes a shortcut to the residual format."""

    def subsample(self, inputs: int, outputs: int) -> nn.Module:
        """Return the option-A shortcut: every second pixel, zero channels before and after."""

    def pool(self, size: int) -> nn.Module:
        """Return an average pool of size x size windows, in the residual format."""

    def shortcut_conv(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """Return the 1x1 convolution of a shortcut."""

    def fusion_conv(self, inputs: int, outputs: int) -> nn.Module:
        """Return a 1x1 convolution of the recovery."""

    def cheap_conv(self, inputs: int, outputs: int, groups: int, kept: int) -> nn.Conv2d:
        """Return the grouped 3x3 convolution of the recovery, of which `kept` outputs are used.

        A hardware kit leaves the other outputs out, so `out_channels` says how many there are.
        """

    def head_quantizer(self) -> nn.Module:
        """Return a module that quantizes the pooled features."""

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """Return the classifier; only the paper's has a bias."""


class BinaryWeights:
    """A binary convolution; with `binary_weights` off, as in the first step of ImageNet, its weights are real."""

    binary_weights = True


class ClippedResidual:
    """A module that clips to the residual format; `leak` is the share of the gradient that passes where it does."""

    leak = 0.0


class Concat(nn.Module):
    """Concatenates feature maps along their channels."""

    def forward(self, *features: Tensor) -> Tensor:
        """Map tensors (batch, channels i, h, w) to (batch, sum of channels, h, w)."""
        return torch.cat(features, 1)
