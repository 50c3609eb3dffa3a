# SPDX-License-Identifier: Apache-2.0
"""hw.streams.packing in the place of FINN's functions, which build every beat out of single bits.

They give the same results, with two differences on purpose: a value that its type does not allow always raises
ValueError (FINN wraps it where a beat holds one element), and integers beyond 2**24 in a float64 or integer array
keep their exact value (FINN rounds them to float32). Types that are not integers, and more than 64 bits, go to FINN's
own functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from finn.util import data_packing as _finn
from qonnx.core.datatype import BaseDataType

from hw.streams.packing import DataType, pack, unpack

if TYPE_CHECKING:
    from hw.streams.packing import Bytes

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


def to_ints(beats: Bytes) -> list[int]:
    """Return one Python integer per beat, as FINN's simulation interface takes them."""
    count, size = beats.shape
    if size <= 8:
        padded = np.zeros((count, 8), dtype=np.uint8)
        padded[:, :size] = beats
        words: list[int] = padded.view("<u8")[:, 0].tolist()
        return words
    flat = beats.tobytes()
    return [int.from_bytes(flat[i : i + size], "little") for i in range(0, count * size, size)]


def from_ints(words: Sequence[int], width_bits: int) -> Bytes:
    """Invert to_ints(): one integer per beat to uint8 (beats, bytes); raises ValueError for one that does not fit."""
    size = (width_bits + 7) // 8
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
    """finn.util.data_packing.npy_to_rtlsim_input: an array or .npy file to one integer per beat, flattened."""
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
    """finn.util.data_packing.rtlsim_output_to_npy: one integer per beat to an array of `shape`."""
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
    width = max(pad_to_nbits, 4)
    if not _supported(dtype) or values.size == 0 or width % 4:
        strings: npt.NDArray[np.str_] = FINN_ORIGINALS["pack_innermost_dim_as_hex_string"](
            ndarray, dtype, pad_to_nbits, reverse_inner, prefix
        )
        return strings
    words = to_ints(_pack_fold(values, dtype, width, reverse_inner))
    return np.array([f"{prefix}{word:0{width // 4}x}" for word in words]).reshape(values.shape[:-1])


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


REPLACEMENTS: dict[str, Callable[..., Any]] = {name: globals()[name] for name in FINN_ORIGINALS}
"""By their names in finn.util.data_packing."""


def _pack_fold(values: npt.NDArray[Any], dtype: BaseDataType, width_bits: int, reverse_inner: bool) -> Bytes:
    # FINN reverses the fold and then writes from the most significant end: that puts element 0 lowest.
    values = np.atleast_1d(values if reverse_inner else values[..., ::-1])
    return pack(values.reshape(-1, values.shape[-1]), _type(dtype), (max(width_bits, 4) + 7) // 8)


def _unpack_fold(
    words: Sequence[int], dtype: BaseDataType, shape: Sequence[int], packed_bits: int, reverse_inner: bool
) -> npt.NDArray[np.float32]:
    *outer, elements = (int(size) for size in shape)
    # FINN uses no more beats than the shape asks for, and takes bits above `packed_bits` where they are
    # there.
    words = words[: math.prod(outer)]
    widest = max((int(word).bit_length() for word in words), default=0)
    beats = from_ints(words, max(packed_bits, elements * dtype.bitwidth(), widest))
    values = unpack(beats, _type(dtype), elements)
    return (values if reverse_inner else values[:, ::-1]).astype(np.float32).reshape(*outer, elements)


def _supported(dtype: BaseDataType) -> bool:
    return bool(dtype.is_integer()) and not dtype.is_fixed_point() and dtype.bitwidth() <= 64


def _type(dtype: BaseDataType) -> DataType:
    return DataType.of(str(dtype.get_canonical_name()))
