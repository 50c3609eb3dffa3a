# SPDX-License-Identifier: Apache-2.0
"""Pictures for the accelerator: PNG files with numpy alone, other formats where Pillow is installed.

What a person sees is what the network gets: turned as the camera says (EXIF), on white where it is transparent, with
the palette's colours. What cannot be shown so is refused.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR, _PALETTE, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {_GREY: 1, _COLOUR: 3, _PALETTE: 1, _GREY_ALPHA: 2, _COLOUR_ALPHA: 4}
_DEPTHS = {_GREY: (1, 2, 4, 8, 16), _PALETTE: (1, 2, 4, 8)}
_LUMA = np.array([0.299, 0.587, 0.114])
_ORIENTATION = 0x0112
"""EXIF's tag."""
_TURNS = {2: (0, 0, 1), 3: (0, 1, 1), 4: (0, 1, 0), 5: (1, 0, 0), 6: (1, 0, 1), 7: (1, 1, 1), 8: (1, 1, 0)}
"""What makes a picture of an EXIF orientation upright: exchange rows and columns, then flip rows, flip columns."""
_MOST_PIXELS = 100_000_000
"""More would not fit a board's memory."""


def read(path: Path, shape: tuple[int, ...]) -> Bytes:
    """A picture as the network takes it.

    Args:
        path: of the file.
        shape: (channels, height, width) of the result.

    Returns:
        uint8 array of that shape: the largest middle part of the same proportions, each pixel the mean of those that
        it stands for; grey where one channel is wanted.

    Raises:
        InputError: no picture, or a format that cannot be read here.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    pixels = decode_png(data, str(path)) if data.startswith(_SIGNATURE) else _with_pillow(path)
    channels, height, width = shape
    scale = min(pixels.shape[0] / height, pixels.shape[1] / width)
    if scale < 1 and scale != 1 / round(1 / scale):
        scale = 1 / np.ceil(1 / scale)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (pixels.shape[0] - rows) // 2, (pixels.shape[1] - columns) // 2
    middle = pixels[top : top + rows, left : left + columns]
    resized = _resize(_resize(middle, height).swapaxes(0, 1), width).swapaxes(0, 1)
    rounded = np.floor(_channels(resized, channels) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(2, 0, 1))


def decode_png(data: bytes, name: str) -> Bytes:
    """A PNG file as a person sees it: uint8 (height, width, 1 or 3)."""
    try:
        chunks = _chunks(data)
        width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        if not width or not height or depth not in _DEPTHS.get(kind, (8, 16)):
            raise ValueError("header")
        if interlaced:
            raise InputError(f"{name} is interlaced: save it without interlacing")
        _check_size(name, width, height)
        samples = _samples(chunks[b"IDAT"], height, width, depth, _CHANNELS[kind])
        colour, alpha = _seen(samples, kind, depth, chunks)
        orientation = _orientation(chunks[b"eXIf"]) if b"eXIf" in chunks else 1
        return _upright(_on_white(colour, alpha), orientation)
    except (struct.error, zlib.error, KeyError, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is damaged") from error


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise InputError(f"{name} has {width} x {height} pixels: make it smaller, {_MOST_PIXELS} at most")


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """What a PNG file holds, by kind; several chunks of a kind are one content."""
    found: dict[bytes, bytes] = {}
    position = len(_SIGNATURE)
    while b"IEND" not in found:
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        if struct.unpack_from(">I", data, position + 8 + size) != (zlib.crc32(kind + body),):
            raise ValueError("checksum")
        found[kind] = found.get(kind, b"") + body
        position += 12 + size
    return found


def _samples(packed: bytes, height: int, width: int, depth: int, channels: int) -> Any:
    """The numbers of a PNG file: (height, width, channels) of uint8, or of 16 bits each."""
    row = (width * depth * channels + 7) // 8
    # no more than belongs here: a small file can unpack to any size
    raw = zlib.decompressobj().decompress(packed, height * (1 + row))
    octets = _unfilter(np.frombuffer(raw, np.uint8).reshape(height, 1 + row), max(1, depth * channels // 8))
    if depth == 16:
        return np.ascontiguousarray(octets).view(">u2").reshape(height, width, channels)
    if depth < 8:
        bits = np.unpackbits(octets, axis=1)[:, : width * depth].reshape(height, width, depth)
        return np.packbits(bits, axis=2) >> (8 - depth)
    return octets.reshape(height, width, channels)


def _seen(samples: Any, kind: int, depth: int, chunks: dict[bytes, bytes]) -> tuple[Bytes, Any]:
    """Colours and opacity, 0 to 255 each; None where all of it is opaque."""
    clear = chunks.get(b"tRNS")
    if kind == _PALETTE:
        palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
        opacity = np.frombuffer((clear or b"").ljust(len(palette), b"\xff"), np.uint8)
        return palette[samples[..., 0]], opacity[samples[..., 0]]
    levels = samples
    if depth != 8:
        most = 2**depth - 1
        levels = ((samples.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
    if kind in (_GREY_ALPHA, _COLOUR_ALPHA):
        return levels[..., :-1], levels[..., -1]
    if clear is None:
        return levels, None
    return levels, np.where(
        (samples == np.frombuffer(clear, ">u2").reshape(samples.shape[-1])).all(axis=-1), 0, 255
    ).astype(np.uint8)


def _on_white(colour: Bytes, alpha: Any) -> Bytes:
    if alpha is None or alpha.min() == 255:
        return colour
    opacity = alpha[..., None].astype(np.uint16)
    mixed: Bytes = ((colour * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
    return mixed


def _orientation(exif: bytes) -> int:
    """The orientation in EXIF data, 1 where they name none."""
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    (first,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, at)
        if tag == _ORIENTATION:
            return int(value)
    return 1


def _upright(pixels: Bytes, orientation: int) -> Bytes:
    exchange, rows, columns = _TURNS.get(orientation, (0, 0, 0))
    turned = pixels.swapaxes(0, 1) if exchange else pixels
    return turned[:: -1 if rows else 1, :: -1 if columns else 1]


def _unfilter(raw: Bytes, unit: int) -> Bytes:
    """Undo PNG's filters, modulo 256: each row begins with the number of its own, `unit` bytes are a pixel."""
    rows = np.zeros((len(raw) + 1, raw.shape[1] - 1 + unit), np.uint8)
    for index, row in enumerate(raw):
        kind, values, above, out = int(row[0]), row[1:], rows[index], rows[index + 1]
        if kind == 0:
            out[unit:] = values
        elif kind == 1:
            out[unit:] = np.cumsum(values.reshape(-1, unit), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == 2:
            out[unit:] = values + above[unit:]
        elif kind in (3, 4):
            made = [0] * unit  # it grows as `left` is read; Python's integers: numpy's are slow one by one
            for left, value, up, corner in zip(made, values.tolist(), above[unit:].tolist(), above.tolist()):
                guess = (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
                made.append((value + guess) & 255)
            out[:] = made
        else:
            raise ValueError("filter")
    return rows[1:, unit:]


def _paeth(left: int, up: int, corner: int) -> int:
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def _with_pillow(path: Path) -> Bytes:
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(f"{path} is no PNG file, and other formats need Pillow") from error
    try:
        with Image.open(path) as image:
            _check_size(str(path), *image.size)
            orientation = image.getexif().get(_ORIENTATION, 1)
            if image.mode in ("I", "F") or image.mode.startswith("I;"):
                raise InputError(f"{path} has more than 8 bits a pixel: save it as PNG")  # Pillow would cut them off
            pixels = np.asarray(image.convert("RGBA"))
    except InputError:
        raise
    except Exception as error:  # the reader of each format raises what it likes
        raise InputError(f"{path} is no picture that can be read") from error
    return _upright(_on_white(pixels[..., :3], pixels[..., 3]), orientation)


def _channels(colour: Any, wanted: int) -> Any:
    """Grey or colour as wanted."""
    if colour.shape[-1] == wanted:
        return colour
    if wanted == 1:
        return (colour @ _LUMA)[..., None]
    if wanted == 3:
        return colour.repeat(3, axis=-1)
    raise InputError(f"a picture cannot have {wanted} channels")


def _resize(values: Any, size: int) -> Any:
    """Mean over the rows, also parts of rows, that each of `size` new rows covers."""
    old = len(values)
    if old == size:
        return values
    resized = np.empty((size, *values.shape[1:]))
    for row in range(size):  # one after the other: all of a photograph as floats does not fit a board's memory
        begin, end = row * old / size, (row + 1) * old / size
        covered = np.arange(int(begin), math.ceil(end))
        weights = np.minimum(end, covered + 1) - np.maximum(begin, covered)
        resized[row] = np.tensordot(weights, values[covered[0] : covered[-1] + 1], 1) * (size / old)
    return resized
