# SPDX-License-Identifier: Apache-2.0
"""Pictures: PNG files as Pillow reads them, and their way to the network's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hw.driver import image
from hw.driver.errors import InputError

RNG = np.random.default_rng(0)
SMOOTH = (np.add.outer(np.arange(40) * 3, np.arange(30) * 2)[..., None] + [0, 20, 40]).astype(np.uint8)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("smooth", [False, True])
def test_png_as_pillow_reads_it(tmp_path: Path, mode: str, smooth: bool) -> None:
    channels = len(mode)
    pixels = np.resize(SMOOTH, (40, 30, 4)) if smooth else RNG.integers(0, 256, (40, 30, 4)).astype(np.uint8)
    pixels = pixels[..., :channels]
    path = tmp_path / "picture.png"
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).save(path)
    assert np.array_equal(image.decode_png(path.read_bytes(), "picture"), pixels)


@pytest.mark.parametrize("kind", range(5))
def test_every_filter(kind: int) -> None:
    raw = RNG.integers(0, 256, (6, 1 + 4 * 3)).astype(np.uint8)
    raw[:, 0] = kind
    pixels = image._unfilter(raw, 3).astype(int).reshape(6, 4, 3)
    padded = np.pad(pixels, ((1, 0), (1, 0), (0, 0)))
    for y in range(6):
        for x in range(4):
            for c in range(3):
                left, up, corner = padded[y + 1, x, c], padded[y, x + 1, c], padded[y, x, c]
                near = (abs(up - corner), abs(left - corner), abs(left + up - 2 * corner))
                paeth = (left, up, corner)[int(np.argmin(near))]
                guess = (0, left, up, (left + up) // 2, paeth)[kind]
                assert pixels[y, x, c] == (int(raw[y, 1 + 3 * x + c]) + guess) % 256


def test_a_picture_of_the_right_size_stays_as_it_is(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(image.read(tmp_path / "a.png", (3, 8, 8)), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("scale", [2, 3])
def test_the_middle_part_becomes_smaller(tmp_path: Path, scale: int) -> None:
    small = RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    large = np.pad(small.repeat(scale, 0).repeat(scale, 1), ((0, 0), (6, 6), (0, 0)))
    Image.fromarray(large).save(tmp_path / "a.png")
    assert np.array_equal(image.read(tmp_path / "a.png", (3, 4, 4)), small.transpose(2, 0, 1))


def test_a_mean_over_parts_of_pixels(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 90, 180]] * 3, np.uint8)).save(tmp_path / "a.png")
    assert image.read(tmp_path / "a.png", (1, 2, 2)).tolist() == [[[30, 150], [30, 150]]]


def test_grey_and_colour(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4, 3), (255, 0, 0), np.uint8)).save(tmp_path / "red.png")
    assert (image.read(tmp_path / "red.png", (1, 4, 4)) == 76).all()
    Image.fromarray(np.full((4, 4), 7, np.uint8)).save(tmp_path / "grey.png")
    assert (image.read(tmp_path / "grey.png", (3, 4, 4)) == 7).all()
    with pytest.raises(InputError, match="cannot have 5 channels"):
        image.read(tmp_path / "grey.png", (5, 4, 4))


def test_other_formats_through_pillow(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(tmp_path / "a.bmp")
    assert (image.read(tmp_path / "a.bmp", (3, 4, 4)) == 100).all()


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no picture")
    with pytest.raises(InputError, match="text is no picture"):
        image.read(tmp_path / "text", (3, 4, 4))
    with pytest.raises(InputError, match="No such file"):
        image.read(tmp_path / "missing", (3, 4, 4))
    Image.fromarray(np.zeros((8, 8), np.uint8)).convert("P").save(tmp_path / "palette.png")
    with pytest.raises(InputError, match="has a palette"):
        image.read(tmp_path / "palette.png", (3, 4, 4))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for cut in range(8, len(data) - 1, 5):
        (tmp_path / "a.png").write_bytes(data[:cut])
        with pytest.raises(InputError, match="damaged"):
            image.read(tmp_path / "a.png", (3, 4, 4))
