# SPDX-License-Identifier: Apache-2.0
"""Integers to beats of an AXI stream and back, in whole-array operations.

A beat holds the elements of one fold, element 0 in the least significant bits, two's complement for signed
types, bipolar -1 as bit 0, padded with zeros to whole bytes, least significant byte first.

`pack` and `unpack` work on byte arrays. The other functions take the places of those of
finn.util.data_packing, which build every beat out of single bits (FINN_NAMES lists them). They give the
same results, with two differences on purpose: a value that its type does not allow always raises ValueError
(FINN wraps it where a beat holds one element), and integers beyond 2**24 in a float64 or integer array keep
their exact value (FINN rounds them to float32). Types that are not integers, and more than 64 bits, go to
FINN's own functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.util import data_packing as _finn
from qonnx.core.datatype import BaseDataType

Beats = npt.NDArray[np.uint8]

# FINN's functions, as they were before xsi.install() put others in their places.
FINN_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(_finn, name)
    for name in (
        "npy_to_rtlsim_input",
        "rtlsim_output_to_npy",
        "pack_innermost_dim_as_hex_string",
        "unpack_innermost_dim_from_hex_string",
    )
}


def pack(values: npt.ArrayLike, dtype: BaseDataType, width_bits: int | None = None) -> Beats:
    """Beats of `values` (..., elements of a beat): uint8 (product of the leading dimensions, bytes).

    `width_bits` is the width of the stream (default: the elements' bits), rounded up to whole bytes. Raises
    ValueError for values that `dtype` does not allow, for types that are not integers of at most 64 bits,
    and for elements that do not fit the width.
    """
    codes = _encode(np.atleast_1d(np.asarray(values)), dtype)
    elements = codes.shape[-1]
    bits = dtype.bitwidth()
    size = _bytes(elements * bits)
    wanted = size if width_bits is None else _bytes(width_bits)
    if wanted < size:
        raise ValueError(f"{elements} elements of {bits} bits do not fit a stream of {width_bits} bits")
    beats = _join_bits(codes.reshape(-1, elements), bits)
    return beats if wanted == size else np.pad(beats, ((0, 0), (0, wanted - size)))


def unpack(beats: Beats, dtype: BaseDataType, elements: int) -> npt.NDArray[np.int64]:
    """The inverse of pack(): `beats` (beats, bytes) to int64 (beats, elements).

    UINT64 comes as uint64. Padding is ignored.
    """
    bits = _integer_bits(dtype)
    if beats.dtype != np.uint8 or beats.ndim != 2 or beats.shape[1] * 8 < elements * bits:
        raise ValueError(f"{elements} elements of {bits} bits cannot come from {beats.dtype} {beats.shape}")
    codes = _split_bits(beats, bits, elements)
    if _name(dtype) == "BIPOLAR":
        return codes.astype(np.int64) * 2 - 1
    if not dtype.signed():
        return codes if bits == 64 else codes.astype(np.int64)  # type: ignore[return-value]
    shift = np.int64(64 - bits)
    return (codes.view(np.int64) << shift) >> shift


def to_ints(beats: Beats) -> list[int]:
    """One Python integer a beat, as FINN's simulation interface takes them."""
    count, size = beats.shape
    if size <= 8:
        padded = np.zeros((count, 8), dtype=np.uint8)
        padded[:, :size] = beats
        words: list[int] = padded.view("<u8")[:, 0].tolist()
        return words
    flat = beats.tobytes()
    return [int.from_bytes(flat[i : i + size], "little") for i in range(0, count * size, size)]


def from_ints(words: Sequence[int], width_bits: int) -> Beats:
    """The inverse of to_ints(): one integer a beat to uint8 (beats, bytes).

    Raises ValueError for an integer that does not fit.
    """
    size = _bytes(width_bits)
    try:
        if size <= 8:
            beats = np.array(words, dtype="<u8").reshape(-1, 1).view(np.uint8)
            if beats[:, size:].any():
                raise OverflowError
            return np.ascontiguousarray(beats[:, :size])
        flat = b"".join([int(word).to_bytes(size, "little") for word in words])
    except OverflowError as error:
        raise ValueError(f"a beat does not fit {width_bits} bits") from error
    return np.frombuffer(flat, dtype=np.uint8).reshape(-1, size)


def npy_to_rtlsim_input(
    input_file: Any, input_dtype: BaseDataType, pad_to_nbits: int, reverse_inner: bool = True
) -> list[int]:
    """finn.util.data_packing.npy_to_rtlsim_input: an array or .npy file to one integer a beat, flattened."""
    if not _supported(input_dtype):
        words: list[int] = FINN_ORIGINALS["npy_to_rtlsim_input"](input_file, input_dtype, pad_to_nbits, reverse_inner)
        return words
    values = input_file if isinstance(input_file, np.ndarray) else np.load(Path(input_file))
    return to_ints(_pack_fold(values, input_dtype, pad_to_nbits, reverse_inner))


def rtlsim_output_to_npy(  # noqa: PLR0917 - FINN's signature
    output: Sequence[int],
    path: str | Path | None,
    dtype: BaseDataType,
    shape: Sequence[int],
    packedBits: int,  # noqa: N803 - FINN's name
    targetBits: int,  # noqa: N803
    reverse_inner: bool = True,
) -> npt.NDArray[np.float32]:
    """finn.util.data_packing.rtlsim_output_to_npy: one integer a beat to an array of `shape`."""
    if not _supported(dtype):
        array: npt.NDArray[np.float32] = FINN_ORIGINALS["rtlsim_output_to_npy"](
            output, path, dtype, shape, packedBits, targetBits, reverse_inner
        )
        return array
    array = _unpack_fold(output, dtype, shape, packedBits, reverse_inner)
    if path is not None:
        np.save(path, array)
    return array


def pack_innermost_dim_as_hex_string(
    ndarray: npt.ArrayLike,
    dtype: BaseDataType,
    pad_to_nbits: int,
    reverse_inner: bool = False,
    prefix: str = "0x",
) -> npt.NDArray[np.str_]:
    """finn.util.data_packing.pack_innermost_dim_as_hex_string: a string for each innermost row."""
    values = np.asarray(ndarray)
    if not _supported(dtype) or values.size == 0 or max(pad_to_nbits, 4) % 4:
        strings: npt.NDArray[np.str_] = FINN_ORIGINALS["pack_innermost_dim_as_hex_string"](
            ndarray, dtype, pad_to_nbits, reverse_inner, prefix
        )
        return strings
    width = max(pad_to_nbits, 4)
    beats = _pack_fold(values, dtype, width, reverse_inner)
    text = np.ascontiguousarray(beats[:, ::-1]).tobytes().hex()
    digits, row = width // 4, 2 * beats.shape[1]
    words = [prefix + text[i + row - digits : i + row] for i in range(0, len(text), row)]
    return np.array(words).reshape(values.shape[:-1])


def unpack_innermost_dim_from_hex_string(
    ndarray: npt.NDArray[np.str_],
    dtype: BaseDataType,
    out_shape: Sequence[int],
    packedBits: int,  # noqa: N803
    reverse_inner: bool = False,
) -> npt.NDArray[np.float32]:
    """finn.util.data_packing.unpack_innermost_dim_from_hex_string: the inverse of the function above."""
    if not _supported(dtype):
        array: npt.NDArray[np.float32] = FINN_ORIGINALS["unpack_innermost_dim_from_hex_string"](
            ndarray, dtype, out_shape, packedBits, reverse_inner
        )
        return array
    words = [int(text.split("x")[1], 16) for text in ndarray.flatten().tolist()]
    return _unpack_fold(words, dtype, out_shape, packedBits, reverse_inner)


# Name in finn.util.data_packing -> replacement.
FINN_NAMES = {
    "npy_to_rtlsim_input": npy_to_rtlsim_input,
    "rtlsim_output_to_npy": rtlsim_output_to_npy,
    "pack_innermost_dim_as_hex_string": pack_innermost_dim_as_hex_string,
    "unpack_innermost_dim_from_hex_string": unpack_innermost_dim_from_hex_string,
}


def _pack_fold(values: npt.NDArray[Any], dtype: BaseDataType, width_bits: int, reverse_inner: bool) -> Beats:
    # FINN reverses the fold and then writes from the most significant end: that puts element 0 lowest.
    return pack(values if reverse_inner else values[..., ::-1], dtype, max(width_bits + (-width_bits) % 4, 4))


def _unpack_fold(
    words: Sequence[int], dtype: BaseDataType, shape: Sequence[int], packed_bits: int, reverse_inner: bool
) -> npt.NDArray[np.float32]:
    *outer, elements = (int(size) for size in shape)
    # FINN uses no more beats than the shape asks for, and takes bits above `packed_bits` where they are
    # there.
    words = words[: math.prod(outer)]
    widest = max((int(word).bit_length() for word in words), default=0)
    beats = from_ints(words, max(packed_bits, elements * dtype.bitwidth(), widest))
    values = unpack(beats, dtype, elements)
    return (values if reverse_inner else values[:, ::-1]).astype(np.float32).reshape(*outer, elements)


def _encode(values: npt.NDArray[Any], dtype: BaseDataType) -> npt.NDArray[np.uint64]:
    """Codes of `values`, at most dtype.bitwidth() bits each. Raises ValueError."""
    bits = _integer_bits(dtype)
    _check(values, dtype, bits)
    if _name(dtype) == "BIPOLAR":
        return (values > 0).astype(np.uint64)
    if dtype.signed():
        return values.astype(np.int64).view(np.uint64) & np.uint64(2**bits - 1)
    return values.astype(np.uint64)


def _check(values: npt.NDArray[Any], dtype: BaseDataType, bits: int) -> None:
    if values.size == 0:
        return
    if values.dtype.kind not in "iufb":
        raise ValueError(f"cannot pack an array of {values.dtype}")
    name = _name(dtype)
    if name == "BIPOLAR":
        allowed = bool(np.isin(values, (-1, 1)).all())
    elif values.dtype.kind == "f":
        # Powers of two: exact in every float type, also where the largest value itself is not. NaN fails
        # the comparisons.
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1)) if dtype.signed() else (0.0, 2.0**bits)
        if name == "TERNARY":
            low, high = -1.0, 2.0
        allowed = bool(low <= values.min() and values.max() < high and np.array_equal(values, np.floor(values)))
    else:
        allowed = int(values.min()) >= dtype.min() and int(values.max()) <= dtype.max()
    if not allowed:
        raise ValueError(f"values from {values.min()} to {values.max()} are not all {name}")


def _join_bits(codes: npt.NDArray[np.uint64], bits: int) -> Beats:
    """(beats, elements) -> (beats, bytes)."""
    count, elements = codes.shape
    if bits == 1:
        return np.packbits(codes.astype(np.uint8), axis=-1, bitorder="little")
    container = _container(bits)
    octets = codes.astype(container).view(np.uint8).reshape(count, elements, container.itemsize)
    if bits == 8 * container.itemsize:
        return octets.reshape(count, elements * container.itemsize)
    if bits in (2, 4):
        return _join_nibbles(octets[..., 0], bits)
    planes = np.unpackbits(octets, axis=-1, count=bits, bitorder="little")
    return np.packbits(planes.reshape(count, elements * bits), axis=-1, bitorder="little")


def _join_nibbles(codes: Beats, bits: int) -> Beats:
    per_byte = 8 // bits
    padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % per_byte)))
    joined = padded[:, ::per_byte].copy()
    for i in range(1, per_byte):
        joined |= padded[:, i::per_byte] << np.uint8(i * bits)
    return joined


def _split_bits(beats: Beats, bits: int, elements: int) -> npt.NDArray[np.uint64]:
    """(beats, bytes) -> codes (beats, elements)."""
    count = beats.shape[0]
    container = _container(bits)
    if bits == 8 * container.itemsize:
        octets = np.ascontiguousarray(beats[:, : elements * container.itemsize])
        return octets.view(container).astype(np.uint64)
    planes = np.unpackbits(beats, axis=-1, count=elements * bits, bitorder="little").reshape(count, elements, bits)
    if bits == 1:
        return planes[..., 0].astype(np.uint64)
    octets = np.zeros((count, elements, container.itemsize), dtype=np.uint8)
    octets[..., : _bytes(bits)] = np.packbits(planes, axis=-1, bitorder="little")
    return octets.view(container)[..., 0].astype(np.uint64)


@cache
def _container(bits: int) -> np.dtype[Any]:
    """The smallest little-endian unsigned type that holds `bits` bits."""
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    return np.dtype(f"<u{size}")


def _integer_bits(dtype: BaseDataType) -> int:
    if not _supported(dtype):
        raise ValueError(f"{_name(dtype)} is not an integer type of at most 64 bits")
    return int(dtype.bitwidth())


def _supported(dtype: BaseDataType) -> bool:
    return bool(dtype.is_integer()) and not dtype.is_fixed_point() and dtype.bitwidth() <= 64


def _name(dtype: BaseDataType) -> str:
    return str(dtype.get_canonical_name())


def _bytes(bits: int) -> int:
    return (bits + 7) // 8
