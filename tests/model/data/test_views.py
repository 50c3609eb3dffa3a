# SPDX-License-Identifier: Apache-2.0
"""Random and fixed views of pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from model.data.views import Crops, centre_crop, random_resized_crop, resized, varied


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


def test_varied_views_follow_from_the_generator() -> None:
    images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=seeded())
    views = varied(images, seeded(1))
    assert views.shape == images.shape and views.dtype == torch.uint8
    assert torch.equal(views, varied(images, seeded(1)))
    assert not torch.equal(views, varied(images, seeded(2)))


def test_varied_views_keep_what_they_show_in_its_place() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    disc = (rows - 15.5).hypot(columns - 15.5) < 8
    images = (disc * 200).to(torch.uint8).expand(200, 3, 32, 32)
    views = varied(images, seeded(3)).float()
    assert (views == views[:, :1]).all(), "grey stays grey"
    lit = views[:, 0] > views[:, 0].amax((1, 2), keepdim=True) / 2
    area = lit.sum((1, 2))
    for places in (rows, columns):
        centre = (lit * places).sum((1, 2)) / area
        assert ((centre - 15.5).abs() < 0.5).all()
    ratio = area / disc.sum()
    assert 0.65 < float(ratio.min()) < 0.85 and 1.2 < float(ratio.max()) < 1.45  # 1.16 squared is 1.35
    assert 0.15 < float((lit == disc).all((1, 2)).float().mean()) < 0.45  # a quarter is coloured only
    light = views[:, 0] - views[:, 0].amin((1, 2), keepdim=True)  # finer than counting pixels
    wide, high = ((light * (places - 15.5) ** 2).sum((1, 2)).sqrt() for places in (columns, rows))
    stretched = wide / high
    assert 0.8 < float(stretched.min()) < 0.92 and 1.09 < float(stretched.max()) < 1.25  # 1.08 squared is 1.17


def test_varied_views_turn_and_change_colours() -> None:
    bar = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    bar[:, 0, 15:17] = 200
    views = varied(bar, seeded(4)).float()
    left, right = ((views[:, 0, :, x].argmax(1)) for x in (4, 27))
    assert 2 <= int((left - right).abs().max()) <= 4  # tan 8 degrees over 23 pixels: 3.2
    colours = views[:, :, 15:17, 16].mean(2)
    assert float(colours[:, 0].std()) > 5 and (colours[:, 0] > colours[:, 1] + 60).all()


def test_varied_views_change_saturation_contrast_and_brightness() -> None:
    flat = torch.tensor([150, 50, 50], dtype=torch.uint8).view(1, 3, 1, 1).expand(400, 3, 32, 32)
    middles = varied(flat, seeded(5))[:, :, 16, 16].float()
    chroma = middles[:, 0] - middles[:, 1]  # 100 times 0.75 .. 1.25 times 0.8 .. 1.2; 75 .. 125 by one of them alone
    assert 59 <= float(chroma.min()) < 73 and 127 < float(chroma.max()) <= 151
    grey = varied(torch.full((400, 1, 32, 32), 100, dtype=torch.uint8), seeded(6))
    whole = grey.flatten(1).float()
    still = whole[(whole == whole[:, :1]).all(1)][
        :, 0
    ]  # coloured only: contrast leaves a flat picture, brightness moves it
    assert len(still) > 50
    assert 74 <= float(still.min()) < 80 and 120 < float(still.max()) <= 126
