# SPDX-License-Identifier: Apache-2.0
"""The normalisation of pixels in front of a network of real numbers."""

import torch
from torch import Tensor

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's colours x / 255, which published weights expect; CIFAR-10 takes the same."""


def pixel_statistics(channels: int) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of pixels x / 255, (channels, 1, 1) each; grey pictures take those of all colours."""
    mean, deviation = (torch.tensor(rows).view(-1, 1, 1) for rows in (PIXEL_MEAN, PIXEL_DEVIATION))
    if channels == len(PIXEL_MEAN):
        return mean, deviation
    return mean.mean().view(1, 1, 1), deviation.mean().view(1, 1, 1)


def normalised(images: Tensor) -> Tensor:
    """Return (images / 255 - mean) / deviation of uint8 images (n, channels, h, w)."""
    mean, deviation = (row.to(images.device) for row in pixel_statistics(images.shape[1]))
    return (images.float() / 255 - mean) / deviation
