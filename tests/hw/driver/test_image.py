# SPDX-License-Identifier: Apache-2.0
"""Pictures: what a person sees of a file is what the network gets, and its way to the network's size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

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
    seen = on_white(pixels[..., :-1], pixels[..., -1:]) if mode.endswith("A") else pixels
    assert np.array_equal(image.decode_png(path.read_bytes(), "picture"), seen)


def on_white(colour: Any, alpha: Any) -> Any:
    return np.floor(colour * (alpha / 255) + 255 * (1 - alpha / 255) + 0.5)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("clear", [b"", b"\x00", b"\x80\xff"])
def test_palettes(tmp_path: Path, bits: int, clear: bytes) -> None:
    colours = RNG.integers(0, 256, (2**bits, 3)).astype(np.uint8)
    indices = RNG.integers(0, 2**bits, (9, 13)).astype(np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "a.png", bits=bits, **({"transparency": clear} if clear else {}))
    assert (tmp_path / "a.png").read_bytes()[24:26] == bytes([bits, 3])
    alpha = np.full((2**bits, 1), 255)
    alpha[: len(clear), 0] = list(clear)
    seen = on_white(colours, alpha)[indices]
    assert np.array_equal(image.decode_png((tmp_path / "a.png").read_bytes(), "a"), seen)
    picture.save(tmp_path / "a.gif")
    assert np.array_equal(image.read(tmp_path / "a.gif", (3, 9, 13)), colours[indices].transpose(2, 0, 1))


def png(kind: int, depth: int, rows: list[bytes], width: int, **chunks: bytes) -> bytes:
    """A file of rows without a filter."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    parts = {"IHDR": header, **chunks, "IDAT": zlib.compress(b"".join(b"\0" + row for row in rows)), "IEND": b""}
    written = (struct.pack(">I", len(body)) + name.encode() + body for name, body in parts.items())
    sums = (struct.pack(">I", zlib.crc32(name.encode() + body)) for name, body in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(part + total for part, total in zip(written, sums, strict=True))


def test_one_bit(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 2, (9, 13)).astype(bool)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[24:26] == bytes([1, 0])
    assert np.array_equal(image.decode_png((tmp_path / "a.png").read_bytes(), "a")[..., 0], 255 * pixels)
    seen = image.decode_png(png(0, 2, [bytes([0b00011011])], 4, tRNS=b"\0\1"), "a")
    assert seen[0, :, 0].tolist() == [0, 255, 170, 255]


@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_sixteen_bits(kind: int) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    samples = RNG.integers(0, 2**16, (5, 7, channels))
    samples[0, :2, -1] = 0, 65535
    rows = [row.astype(">u2").tobytes() for row in samples]
    eight = np.floor(samples * (255 / 65535) + 0.5)
    seen = on_white(eight[..., :-1], eight[..., -1:]) if kind >= 4 else eight
    assert np.array_equal(image.decode_png(png(kind, 16, rows, 7), "a"), seen)
    if kind < 4:
        # one colour is clear: that of the first pixel, all its 16 bits
        clear = samples[0, 0].astype(">u2").tobytes()
        seen[(samples == samples[0, 0]).all(axis=-1)] = 255
        assert np.array_equal(image.decode_png(png(kind, 16, rows, 7, tRNS=clear), "a"), seen)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_turned_as_the_camera_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description"
    Image.fromarray(SMOOTH[:32, :24]).save(path, exif=exif)
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(image.read(path, (3, *upright.shape[:2])), upright.transpose(2, 0, 1))
    motorola = struct.pack(">2sHIHHHIHH", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0)
    seen = image.decode_png(png(2, 8, [row.tobytes() for row in SMOOTH[:32, :24]], 24, eXIf=motorola), "a")
    with Image.open(tmp_path / f"a.{suffix}") as picture:
        assert seen.shape[:2] == ImageOps.exif_transpose(picture).size[::-1]


def test_a_drawing_on_nothing(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)  # black; opaque in its middle
    pixels[2:6, 2:6, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "a.webp", lossless=True)
    for name in ("a.png", "a.webp"):
        found = image.read(tmp_path / name, (1, 8, 8))[0]
        assert np.array_equal(found, np.where(pixels[..., 3], 0, 255))


def test_a_photograph_takes_little_more_than_its_bytes() -> None:
    import tracemalloc

    pixels = np.broadcast_to(np.uint8(100), (3000, 4000, 3)).copy()
    tracemalloc.start()
    small = image._resize(image._resize(pixels, 32).swapaxes(0, 1), 32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.allclose(small, 100)
    assert peak < pixels.size  # as floats all of it takes eight times that


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
    with pytest.raises(InputError, match="text is no picture that can be read"):
        image.read(tmp_path / "text", (3, 4, 4))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-40])
    with pytest.raises(InputError, match=r"cut.jpg is no picture that can be read"):
        image.read(tmp_path / "cut.jpg", (3, 4, 4))
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.tiff")
    with pytest.raises(InputError, match=r"deep.tiff has more than 8 bits a pixel: save it as PNG"):
        image.read(tmp_path / "deep.tiff", (3, 4, 4))
    with pytest.raises(InputError, match="No such file"):
        image.read(tmp_path / "missing", (3, 4, 4))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for cut in range(8, len(data) - 1, 5):
        (tmp_path / "a.png").write_bytes(data[:cut])
        with pytest.raises(InputError, match="damaged"):
            image.read(tmp_path / "a.png", (3, 4, 4))


def test_png_files_that_cannot_be_shown() -> None:
    good = png(0, 8, [b"abcd"] * 4, 4)
    interlaced = bytearray(good)
    interlaced[28] = 1
    interlaced[29:33] = struct.pack(">I", zlib.crc32(interlaced[12:29]))
    with pytest.raises(InputError, match="a is interlaced: save it without interlacing"):
        image.decode_png(bytes(interlaced), "a")
    with pytest.raises(InputError, match="a has 4000000000 x 1 pixels: make it smaller, 100000000 at most"):
        image.decode_png(png(0, 8, [b""], 4_000_000_000), "a")
    damaged = [
        png(0, 8, [b"abc"] * 4, 4),
        png(0, 3, [b"abcd"] * 4, 4),
        png(3, 16, [b"abcdefgh"] * 4, 4),
        png(0, 8, [], 4),
        png(3, 8, [b"abcd"] * 4, 4),
        png(3, 8, [b"abcd"] * 4, 4, PLTE=b"rgb"),
        png(2, 8, [b"rgb"], 1, tRNS=b"\0\0"),
        png(0, 8, [b"abcd"] * 4, 4, eXIf=b"MM"),
    ]
    for data in damaged:
        with pytest.raises(InputError, match="a is damaged"):
            image.decode_png(data, "a")
    # a file that unpacks to more than its size says
    assert image.decode_png(png(0, 8, [b"abcd"] * 4 + [b""], 4)[:16] + good[16:], "a").shape == (4, 4, 1)
