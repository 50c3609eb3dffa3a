# SPDX-License-Identifier: Apache-2.0
"""The blocks of the residual networks, each defined once and built from either kit.

Parameters carry the names of the paper's published code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from model.networks.kit import Kit
from model.networks.quantizers import Formats, IntegerFormat
from model.networks.registry import Family

Norm = nn.BatchNorm1d | nn.BatchNorm2d

SIGN_THRESHOLDS = np.zeros(1)


@dataclass(frozen=True)
class QuantizedNorm:
    """A batch norm of a hardware network between a sum and the thresholds of a quantizer.

    The sum is a multiple of `step`, and no larger than `reach` (channels,) where that is known. `slopes` are those of
    a PReLU between batch norm and quantizer, if any.
    """

    norm: Norm
    step: float
    thresholds: npt.NDArray[np.float64]
    slopes: Tensor | None = None
    reach: Tensor | None = None


def norm_between(layers: Iterable[nn.Module], formats: Formats, scale: float, weight: IntegerFormat) -> QuantizedNorm:
    """Describe the batch norm of convolution, batch norm and activation.

    The convolution's inputs are multiples of `scale` in [-1, 1], and its weights are rounded to the format `weight`.
    """
    conv, norm, activation = layers
    rows = conv.get_parameter("weight").detach().flatten(1)
    reach = (rows.abs() + weight.scale / 2).sum(1)
    slopes = getattr(activation, "weight", None)
    return QuantizedNorm(as_norm(norm), scale * weight.scale, formats.residual.thresholds, slopes, reach)


def as_norm(module: nn.Module) -> Norm:
    """Return a batch norm that torch's types know as a module only."""
    return cast(Norm, module)


def add_stages(
    network: nn.Module, block: Callable[[int, int, int], nn.Module], widths: Sequence[int], blocks: Sequence[int]
) -> None:
    """Add layer1, layer2 ... of that many blocks each to a network, after a stem as wide as the first of them.

    `block` is made of inputs, outputs and stride; all stages but the first halve the picture.
    """
    inputs = widths[0]
    for index, (outputs, count) in enumerate(zip(widths, blocks, strict=True)):
        rest = [block(outputs, outputs, 1) for _ in range(count - 1)]
        network.add_module(f"layer{index + 1}", nn.Sequential(block(inputs, outputs, 2 if index else 1), *rest))
        inputs = outputs


def stage_outputs(network: nn.Module, x: Tensor, count: int) -> list[Tensor]:
    """Return what each of the `count` stages gives, after `x` at the first one."""
    outputs: list[Tensor] = []
    for index in range(count):
        x = network.get_submodule(f"layer{index + 1}")(x)
        outputs.append(x)
    return outputs


class TwoConvolutions(nn.Module):
    """What the blocks of two binary convolutions share; the first may halve the picture."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = kit.binary_conv(inputs, outputs, stride)
        self.bn1 = kit.norm(outputs, 0.3)
        self.conv2 = kit.binary_conv(outputs, outputs, 1)
        self.bn2 = kit.norm(outputs, 0.3)


class DoubleBlock(TwoConvolutions):
    """Two binary convolutions, each with its own shortcut (Bi-Real Net)."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(kit, inputs, outputs, stride)
        self.shortcut = nn.Identity() if stride == 1 else kit.subsample(inputs, outputs)
        self.add1 = kit.join(outputs)
        self.add2 = kit.join(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride), in the residual format."""
        middle = self.add1(self.bn1(self.conv1(x)), self.shortcut(x))
        result: Tensor = self.add2(self.bn2(self.conv2(middle)), middle)
        return result

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms."""
        for norm in (self.bn1, self.bn2):
            yield QuantizedNorm(norm, 1.0, formats.branch.thresholds)


class BasicBlock(TwoConvolutions):
    """Two binary convolutions with one shortcut, a 1x1 convolution where the shape changes."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(kit, inputs, outputs, stride)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                kit.shortcut_conv(inputs, outputs, stride), kit.norm(outputs, 0.5), kit.requantize()
            )
        self.add = kit.join(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride), in the residual format."""
        # The published Hardtanh after bn1 is left out: the sign of conv2 has the same values and gradients without.
        branch = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        result: Tensor = self.add(branch, self.shortcut(x))
        return result

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms."""
        yield QuantizedNorm(self.bn1, 1.0, SIGN_THRESHOLDS)
        yield QuantizedNorm(self.bn2, 1.0, formats.branch.thresholds)
        if len(self.shortcut):
            yield _shortcut_norm(self.shortcut[1], formats)


class BiRealBlock(nn.Module):
    """One binary convolution with its shortcut, then PReLU; the shortcut pools where the picture is halved."""

    def __init__(self, kit: Kit, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.binary_conv = kit.binary_conv(inputs, outputs, stride)
        self.bn1 = kit.norm(outputs, 0.3)
        self.prelu = kit.join(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                kit.pool(stride) if stride > 1 else nn.Identity(),
                kit.shortcut_conv(inputs, outputs, 1),
                kit.norm(outputs, 0.5),
                kit.requantize(),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride), in the residual format."""
        shortcut = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.prelu(self.bn1(self.binary_conv(x)), shortcut)
        return result

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms."""
        yield QuantizedNorm(self.bn1, 1.0, formats.branch.thresholds)
        if self.downsample is not None:
            yield _shortcut_norm(self.downsample[2], formats)


def _shortcut_norm(norm: nn.Module, formats: Formats) -> QuantizedNorm:
    step = formats.residual.scale * formats.shortcut_weight.scale
    return QuantizedNorm(as_norm(norm), step, formats.residual.thresholds)


BLOCKS: dict[Family, type[nn.Module]] = {"double": DoubleBlock, "basic": BasicBlock, "bireal": BiRealBlock}
