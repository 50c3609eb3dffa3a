# SPDX-License-Identifier: Apache-2.0
"""Integers to the bytes of an AXI stream and back, in whole-array operations.

A beat holds the elements of one fold, element 0 in the least significant bits, two's complement for signed types,
bipolar -1 as bit 0, padded with zeros to whole bytes, least significant byte first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Bytes = npt.NDArray[np.uint8]

_NAME = re.compile(r"^(?:DataType\[')?(?:(U?)INT(\d+)|(BINARY|BIPOLAR|TERNARY))(?:'\])?$")
_NAMED = {"BINARY": (1, 0, 1), "BIPOLAR": (1, -1, 1), "TERNARY": (2, -1, 1)}


class PackingError(ValueError):
    """Values that a type does not hold, or beats of another shape."""


@dataclass(frozen=True)
class DataType:
    """An integer type of at most 64 bits, as QONNX names it; FINN's settings write ``DataType['UINT8']``."""

    name: str
    bits: int
    low: int
    high: int

    @staticmethod
    def of(name: str) -> DataType:
        """Return the type of a name; raises PackingError for one that is no integer of at most 64 bits."""
        match = _NAME.match(name)
        if match is None or (match[2] and not 1 <= int(match[2]) <= 64):
            raise PackingError(f"{name!r} is no integer type of at most 64 bits")
        if match[3]:
            return DataType(match[3], *_NAMED[match[3]])
        bits = int(match[2])
        low, high = (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return DataType(f"{match[1]}INT{bits}", bits, low, high)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest little-endian numpy type that holds its values."""
        size = next(size for size in (1, 2, 4, 8) if self.bits <= 8 * size)
        return np.dtype("<{}{}".format("i" if self.low < 0 else "u", size))

    @property
    def container(self) -> np.dtype[Any]:
        """The unsigned type of the same size."""
        return np.dtype(f"<u{self.dtype.itemsize}")


def pack(values: Array, datatype: DataType, width: int, out: Bytes | None = None) -> Bytes:
    """Beats of `values` (..., elements of a beat): uint8 (..., width bytes).

    Args:
        values: integers, or floats that are integers.
        datatype: of an element.
        width: bytes of a beat.
        out: where to write, for example a DMA buffer; elements that are whole bytes then take one copy and no
            array in between.

    Raises:
        PackingError: a value outside the type, or elements that do not fit the width.
    """
    elements = values.shape[-1]
    used = (elements * datatype.bits + 7) // 8
    if used > width:
        raise PackingError(f"{elements} elements of {datatype.name} do not fit beats of {width} bytes")
    shape = (*values.shape[:-1], width)
    beats = np.empty(shape, np.uint8) if out is None else out
    if beats.shape != shape or beats.dtype != np.uint8:
        raise PackingError(f"packing {values.shape} needs uint8 {shape}, not {beats.dtype} {beats.shape}")
    codes = _encode(values, datatype)
    if datatype.bits == 8 * codes.itemsize and codes.flags.c_contiguous:
        payload = codes.view(np.uint8)
    elif elements == 1:
        payload = np.ascontiguousarray(codes).view(np.uint8).reshape((*shape[:-1], codes.itemsize))[..., :used]
    else:
        payload = _join(np.ascontiguousarray(codes).reshape(-1, elements), datatype.bits)
    beats[..., :used] = payload.reshape((*shape[:-1], used))
    if used < width:
        beats[..., used:] = 0
    return beats


def unpack(beats: Bytes, datatype: DataType, elements: int) -> Array:
    """The inverse of `pack`: (..., bytes) to (..., elements) of the type's numpy type. Padding is ignored."""
    bits, lead = datatype.bits, beats.shape[:-1]
    used = (elements * bits + 7) // 8
    if used > beats.shape[-1]:
        raise PackingError(f"{elements} elements of {datatype.name} cannot come from {beats.shape[-1]} bytes")
    if bits == 8 * datatype.dtype.itemsize:
        whole = np.ascontiguousarray(beats[..., :used])
        return whole.view(datatype.dtype).reshape((*lead, elements))
    if elements == 1:
        codes = np.zeros((int(np.prod(lead)), datatype.dtype.itemsize), np.uint8)
        codes[:, :used] = beats[..., :used].reshape(-1, used)
        codes = codes.view(datatype.container)
    else:
        codes = _split(np.ascontiguousarray(beats[..., :used]).reshape(-1, used), bits, elements, datatype.container)
    return _decode(codes, datatype).reshape((*lead, elements))


def _encode(values: Array, datatype: DataType) -> Array:
    """Codes in the type's numpy container; those of whole bytes are the values themselves."""
    if values.dtype == datatype.dtype and datatype.bits == 8 * values.itemsize:
        return values  # every value of the array's type is one of the datatype
    if values.dtype.kind not in "biuf":
        raise PackingError(f"cannot pack an array of {values.dtype}")
    if values.size:
        # Python's numbers: numpy would round what it compares; and a comparison with NaN is false.
        low, high = values.min().item(), values.max().item()
        if not (low >= datatype.low and high <= datatype.high):
            raise PackingError(f"values from {low} to {high} are not all {datatype.name}")
        if values.dtype.kind == "f" and not np.array_equal(values, np.floor(values)):
            raise PackingError(f"values of {datatype.name} that are no integers; do not normalise the images")
    if datatype.name == "BIPOLAR":
        if values.size and not np.abs(values).min() > 0:
            raise PackingError("0 is not BIPOLAR")
        return (values > 0).astype(np.uint8)
    if datatype.low < 0:
        codes: Array = values.astype(datatype.dtype).view(datatype.container)
        codes &= datatype.container.type(2**datatype.bits - 1)
        return codes
    return values.astype(datatype.dtype)


def _decode(codes: Array, datatype: DataType) -> Array:
    if datatype.name == "BIPOLAR":
        return codes.astype(np.int8) * np.int8(2) - np.int8(1)
    if datatype.low >= 0:
        return codes.astype(datatype.dtype, copy=False)
    shift = 8 * datatype.dtype.itemsize - datatype.bits
    shifted: Array = (codes << codes.dtype.type(shift)).view(datatype.dtype)
    shifted >>= datatype.dtype.type(shift)
    return shifted


def _join(codes: Array, bits: int) -> Bytes:
    """(beats, elements) of codes in containers to (beats, bytes)."""
    if bits == 1:
        return np.packbits(codes.view(np.uint8), axis=-1, bitorder="little")
    if not _in_words(bits):
        octets = codes.view(np.uint8).reshape(len(codes), -1, codes.itemsize)
        planes = np.unpackbits(octets, axis=-1, bitorder="little").reshape((*codes.shape, -1))[..., :bits]
        return np.packbits(planes.reshape(len(codes), -1), axis=-1, bitorder="little")
    count, elements = codes.shape
    group = _group(bits)
    spare = -elements % group
    words = np.pad(codes, ((0, 0), (0, spare))) if spare else codes  # ours to change: _encode made them
    size, width = 8 * codes.itemsize, bits
    while size < 64:  # neighbours move together: pairs, then fours, then eights
        words = words.view(f"<u{size // 4}")
        upper = words >> words.dtype.type(size)
        upper <<= words.dtype.type(width)
        words &= words.dtype.type(2**width - 1)
        words |= upper
        size, width = 2 * size, 2 * width
    if width % 8:
        low, high = words[:, ::2], words[:, 1::2]
        words = np.stack([low | high << np.uint64(width), high >> np.uint64(64 - width)], axis=-1)
        width *= 2
    octets = words.view(np.uint8).reshape(count, -1, 8 if width <= 64 else 16)[..., : width // 8]
    return octets.reshape(count, -1)[:, : (elements * bits + 7) // 8]


def _split(beats: Bytes, bits: int, elements: int, container: np.dtype[Any]) -> Array:
    """(beats, bytes) to (beats, elements) of codes."""
    count = len(beats)
    if bits == 1:
        return np.unpackbits(beats, axis=-1, bitorder="little")[:, :elements]
    if not _in_words(bits):
        planes = np.unpackbits(beats, axis=-1, bitorder="little")[:, : elements * bits].reshape(count, elements, bits)
        octets = np.zeros((count, elements, container.itemsize), np.uint8)
        packed = np.packbits(planes, axis=-1, bitorder="little")
        octets[..., : packed.shape[-1]] = packed
        return octets.view(container)[..., 0]
    group = _group(bits)
    groups, size = -(-elements // group), group * bits // 8
    if beats.shape[1] != groups * size:
        beats = np.pad(beats, ((0, 0), (0, groups * size - beats.shape[1])))
    octets = np.zeros((count, groups, 8 if size <= 8 else 16), np.uint8)
    octets[..., :size] = beats.reshape(count, groups, size)
    words = octets.view("<u8").reshape(count, -1)
    width = 8 * size
    if size > 8:
        low, high, width = words[:, ::2], words[:, 1::2], width // 2
        mask = np.uint64(2**width - 1)
        words = np.stack([low & mask, (low >> np.uint64(width) | high << np.uint64(64 - width)) & mask], axis=-1)
        words = words.reshape(count, -1)
    step = 64
    while step > 8 * container.itemsize:
        step, width = step // 2, width // 2
        upper = words >> words.dtype.type(width)
        upper <<= words.dtype.type(step)
        words &= words.dtype.type(2**width - 1)
        words |= upper
        words = words.view(f"<u{step // 8}")
    codes: Array = words[:, :elements] & container.type(2**bits - 1)
    return codes


def _in_words(bits: int) -> bool:
    """Whether groups of codes fill whole bytes of one or two 64-bit words."""
    return bits <= 16 or (bits <= 32 and bits % 4 == 0)


def _group(bits: int) -> int:
    """Codes that are packed together: those that share a 64-bit word, or two words where that is no whole byte."""
    if bits <= 8:
        return 8
    if bits <= 16:
        return 4 if bits % 2 == 0 else 8
    return 2
