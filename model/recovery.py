# SPDX-License-Identifier: Apache-2.0
"""Information recovery: features of all stages, pooled to the last stage's size, are fused into new ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.layers import Kit, batch_norm


class CompactRecovery(nn.Module):
    """Compact information recovery (IR2Net, section 3.3): a primary 1x1 convolution, then cheap ones.

    The primary convolution makes outputs / ratio features of all inputs; the cheap 3x3 convolution makes the
    remaining ones, each from a single primary feature. Output channels: primary first, then cheap.
    """

    def __init__(self, kit: Kit, widths: Sequence[int], pools: Sequence[int], outputs: int, ratio: int) -> None:
        """Fuse feature maps with `widths` channels; map i is pooled by `pools[i]` (1: not at all)."""
        super().__init__()
        primary = outputs // ratio
        self.pools = nn.ModuleList([nn.Identity() if p == 1 else kit.trunc_pool(p) for p in pools])
        self.primary_conv = nn.Sequential(kit.pointwise(sum(widths), primary), batch_norm(primary, 0.5))
        self.primary_quantizer = kit.quantizer()
        self.cheap_operation = nn.Sequential(
            kit.grouped(primary, outputs - primary), batch_norm(outputs - primary, 0.5)
        )
        self.cheap_quantizer = kit.quantizer()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map one feature map a stage to (batch, outputs, h, w) at the last stage's size."""
        pooled = [pool(feature) for pool, feature in zip(self.pools, features, strict=True)]
        primary = self.primary_quantizer(self.primary_conv(torch.cat(pooled, 1)))
        cheap = self.cheap_quantizer(self.cheap_operation(primary))
        return torch.cat([primary, cheap], 1)
