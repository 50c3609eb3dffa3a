# SPDX-License-Identifier: Apache-2.0
"""Random and fixed views of pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from model.data.views import Crops, centre_crop, random_resized_crop, resized


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shifted_crops(images: Tensor, size: int, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    return Crops.drawn(len(images), images.shape[-1], size, shift, generator, flip=flip).of(images)


def picture(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=seeded())


def test_crops_lie_inside_or_shift_with_zeros() -> None:
    images = torch.full((64, 1, 16, 16), 9, dtype=torch.uint8)
    inside = shifted_crops(images, 12, 2, True, seeded())
    assert inside.shape == (64, 1, 12, 12)
    assert (inside == 9).all()
    shifted = shifted_crops(images, 16, 2, False, seeded())
    assert shifted.shape == images.shape
    zeros = (shifted == 0).flatten(1).float().mean(1)
    assert 0 < zeros.max() <= 1 - (14 / 16) ** 2


def test_half_is_mirrored() -> None:
    images = torch.arange(16, dtype=torch.uint8).expand(256, 1, 16, 16)
    mirrored = shifted_crops(images, 16, 0, True, seeded())[:, 0, 0, 0] == 15
    assert 96 < mirrored.sum() < 160
    wide = torch.arange(64, dtype=torch.uint8).expand(3, 64, 64)
    flips = [bool((v := random_resized_crop(wide, 8, 1.0, True, seeded(i)))[0, 0, 0] > v[0, 0, 7]) for i in range(200)]
    assert 70 < sum(flips) < 130


@pytest.mark.parametrize(("height", "width"), [(40, 60), (300, 20), (1, 1), (224, 224)])
def test_random_resized_crop_has_the_size_asked_for(height: int, width: int) -> None:
    for seed in range(20):
        view = random_resized_crop(picture(height, width), 32, 0.08, True, seeded(seed))
        assert view.shape == (3, 32, 32)
        assert view.dtype == torch.uint8


def test_random_resized_crop_shows_the_share_asked_for() -> None:
    # The value of a pixel is its column: the first and last one of a view tell how wide the crop was.
    ramp = torch.arange(200, dtype=torch.uint8).expand(3, 200, 200)
    wides = []
    for seed in range(100):
        row = random_resized_crop(ramp, 50, 0.25, False, seeded(seed))[0, 0].float()
        wides.append(float(row[-1] - row[0]) * 50 / 49)
    assert min(wides) > 200 * (0.25 / (4 / 3)) ** 0.5 - 4
    assert max(wides) > 150
    assert np.std(wides) > 15
    assert (
        random_resized_crop(ramp, 50, 0.25, False, seeded(3)) == random_resized_crop(ramp, 50, 0.25, False, seeded(3))
    ).all()


def test_resizing_is_pillows() -> None:
    image = picture(100, 150)
    expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).resize((24, 32), Image.Resampling.BILINEAR))
    found = resized(image, 32, 24).permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_centre_crop() -> None:
    image = torch.zeros(3, 256, 356, dtype=torch.uint8)
    image[:, 16:240, 66:290] = 200
    view = centre_crop(image, 224)
    assert view.shape == (3, 224, 224)
    assert (view == 200).all()
    assert centre_crop(picture(300, 40), 64).shape == (3, 64, 64)
