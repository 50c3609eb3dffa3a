# SPDX-License-Identifier: Apache-2.0
"""Information restriction (IR2Net, section 3.2): the network must also answer from what it attends to.

Used in training only; nothing of it reaches the hardware.
"""

import torch
from torch import Tensor
from torch.nn import functional

from model.networks import Network

THRESHOLD = 0.15
"""The paper's lambda: attention below this share of its mean is erased.

The clipped 4-bit features of our networks are even: their least attention was measured at 0.4 (tiny) and 0.7
(resnet20, part-trained) of the mean, so that this value erased nothing there. The trainer shows the share.
"""


def attention_map(features: Tensor) -> Tensor:
    """Return the normalised channel mean of squared features, (batch, c, h, w) to (batch, h, w).

    Each column of the map, not the map as a whole, has unit L2 norm: the published code normalises along
    the first axis after the batch.
    """
    return functional.normalize(features.pow(2).mean(1), dim=1)


def erase_mask(features: Tensor, size: int, threshold: float = THRESHOLD) -> Tensor:
    """Return where a picture is kept, (batch, 1, size, size) bool.

    The attention map of the last stage's features (batch, c, h, w) is upsampled bilinearly with aligned
    corners and compared with `threshold` times its mean. Carries no gradient.
    """
    with torch.no_grad():
        attention = functional.interpolate(
            attention_map(features)[:, None], size=(size, size), mode="bilinear", align_corners=True
        )
        return attention > threshold * attention.mean((1, 2, 3), keepdim=True)


def restricted_loss(
    network: Network, images: Tensor, labels: Tensor, threshold: float = THRESHOLD
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean cross-entropy of plain and erased images, the plain logits, and the share erased.

    `images` are (batch, channels, size, size) uint8, `labels` (batch,) int64.
    """
    # Erased is what the network sees as zero: black in hardware, the mean colour in paper precision.
    values = network.values(images)
    logits, features = network.logits_and_features(values)
    kept = erase_mask(features.detach(), values.shape[-1], threshold)
    erased_logits = network(values * kept)
    loss = (functional.cross_entropy(logits, labels) + functional.cross_entropy(erased_logits, labels)) / 2
    return loss, logits, 1.0 - kept.float().mean()
