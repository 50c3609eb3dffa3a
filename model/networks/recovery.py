# SPDX-License-Identifier: Apache-2.0
"""Information recovery: features of all stages, pooled to the last stage's size, are fused into new ones."""

import math
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from model.networks.blocks import QuantizedNorm, norm_between
from model.networks.kit import Concat, Kit
from model.networks.quantizers import Formats


class GatherStages(nn.Module):
    """Pools feature maps to the last one's size and concatenates them."""

    def __init__(self, kit: Kit, pools: Sequence[int]) -> None:
        """Map i is pooled by `pools[i]` (1: not at all)."""
        super().__init__()
        self.pools = nn.ModuleList([nn.Identity() if size == 1 else kit.pool(size) for size in pools])
        self.concat = Concat()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map one feature map per stage to (batch, sum of channels, h, w) at the last stage's size."""
        pooled = [pool(feature) for pool, feature in zip(self.pools, features, strict=True)]
        result: Tensor = self.concat(*pooled)
        return result


class CompactRecovery(nn.Module):
    """Compact information recovery (IR2Net, section 3.3): a primary 1x1 convolution, then cheap ones.

    The primary convolution makes m = outputs / ratio features (rounded up) of all inputs; the grouped 3x3
    convolution makes ratio - 1 further ones for each, and what is more than `outputs` is left out. A cheap
    feature is made of `group_width` primary features. Output channels: primary first, then cheap.
    """

    def __init__(self, kit: Kit, inputs: int, outputs: int, ratio: int, group_width: int) -> None:
        super().__init__()
        self.outputs = outputs
        primary = math.ceil(outputs / ratio)
        self.primary_conv = nn.Sequential(
            kit.fusion_conv(inputs, primary), kit.norm(primary, 0.5), kit.activation(primary)
        )
        cheap = kit.cheap_conv(primary, primary * (ratio - 1), primary // group_width, outputs - primary)
        self.cheap_operation = nn.Sequential(
            cheap, kit.norm(cheap.out_channels, 0.5), kit.activation(cheap.out_channels)
        )
        self.concat = Concat()

    def forward(self, gathered: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h, w)."""
        primary = self.primary_conv(gathered)
        fused: Tensor = self.concat(primary, self.cheap_operation(primary))
        return fused if fused.shape[1] == self.outputs else fused[:, : self.outputs]

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms."""
        for layers in (self.primary_conv, self.cheap_operation):
            yield norm_between(layers, formats, formats.residual.scale, formats.fusion_weight)
