# SPDX-License-Identifier: Apache-2.0
"""Pictures for the accelerator: PNG files with numpy alone, other formats where Pillow is installed."""

from __future__ import annotations

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
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_LUMA = np.array([0.299, 0.587, 0.114])


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
    pixels = _channels(pixels, channels)
    scale = min(pixels.shape[0] / height, pixels.shape[1] / width)
    if scale < 1 and scale != 1 / round(1 / scale):
        scale = 1 / np.ceil(1 / scale)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (pixels.shape[0] - rows) // 2, (pixels.shape[1] - columns) // 2
    middle = pixels[top : top + rows, left : left + columns].astype(np.float64)
    resized = _resize(_resize(middle, height, 0), width, 1)
    return np.ascontiguousarray(np.floor(resized + 0.5).astype(np.uint8).transpose(2, 0, 1))


def decode_png(data: bytes, name: str) -> Bytes:
    """A PNG file of 8 bits a channel, not interlaced, without a palette: uint8 (height, width, channels)."""
    try:
        chunks = _chunks(data)
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
        if depth != 8 or colour not in _CHANNELS or interlaced:
            raise InputError(f"{name} has a palette, is interlaced or has no 8 bits a channel: convert it")
        raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
        return _unfilter(raw, _CHANNELS[colour]).reshape(height, width, _CHANNELS[colour])
    except InputError:
        raise
    except (struct.error, zlib.error, KeyError, ValueError) as error:
        raise InputError(f"{name} is damaged") from error


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


def _unfilter(raw: Bytes, channels: int) -> Bytes:
    """Undo PNG's filters, modulo 256: each row begins with the number of its own."""
    rows = np.zeros((len(raw) + 1, raw.shape[1] - 1 + channels), np.uint8)
    for index, row in enumerate(raw):
        kind, values, above, out = row[0], row[1:], rows[index], rows[index + 1]
        if kind == 0:
            out[channels:] = values
        elif kind == 1:
            out[channels:] = np.cumsum(values.reshape(-1, channels), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == 2:
            out[channels:] = values + above[channels:]
        elif kind in (3, 4):
            for at in range(channels, len(out)):
                left, up, corner = int(out[at - channels]), int(above[at]), int(above[at - channels])
                guess = (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
                out[at] = (int(values[at - channels]) + guess) & 255
        else:
            raise ValueError("filter")
    return rows[1:, channels:]


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    distances = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
    return (left, up, corner)[distances.index(min(distances))]


def _with_pillow(path: Path) -> Any:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise InputError(f"{path} is no PNG file, and other formats need Pillow") from error
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} is no picture") from error


def _channels(pixels: Bytes, wanted: int) -> Any:
    """Grey or colour as wanted; transparency is dropped."""
    colour = pixels[..., :-1] if pixels.shape[-1] in (2, 4) else pixels
    if colour.shape[-1] == wanted:
        return colour
    if wanted == 1:
        return np.floor(colour @ _LUMA + 0.5)[..., None]
    if wanted == 3:
        return colour.repeat(3, axis=-1)
    raise InputError(f"a picture cannot have {wanted} channels")


def _resize(values: Any, size: int, axis: int) -> Any:
    """Mean over the pixels, also parts of pixels, that each new pixel covers along an axis."""
    old = values.shape[axis]
    if old == size:
        return values
    edges = np.arange(size + 1) * (old / size)
    weights = np.minimum(edges[1:, None], np.arange(1, old + 1)) - np.maximum(edges[:-1, None], np.arange(old))
    weights = np.clip(weights, 0, None) * (size / old)
    return np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
