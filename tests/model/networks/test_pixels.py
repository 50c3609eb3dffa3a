# SPDX-License-Identifier: Apache-2.0
"""Pixels in front of networks of real numbers."""

import pytest
import torch

from model.networks.pixels import PIXEL_DEVIATION, PIXEL_MEAN, normalised


@pytest.mark.parametrize("channels", [1, 3])
def test_normalised(channels: int) -> None:
    means, deviations = (torch.tensor(values) for values in (PIXEL_MEAN, PIXEL_DEVIATION))
    if channels == 1:
        means, deviations = means.mean(), deviations.mean()
    for pixel in (0, 255):
        image = torch.full((2, channels, 1, 1), pixel, dtype=torch.uint8)
        torch.testing.assert_close(normalised(image)[1].flatten(), ((pixel / 255 - means) / deviations).flatten())
