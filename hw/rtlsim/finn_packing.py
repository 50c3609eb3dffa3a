# SPDX-License-Identifier: Apache-2.0
"""hw.streams.packing in the place of FINN's functions, which build every beat out of single bits.

They give the same results, with two differences on purpose: a value that its type does not allow always raises
ValueError (FINN wraps it where a beat holds one element), and integers beyond 2**24 in a float64 or integer array
keep their exact value (FINN rounds them to float32). Types that are not integers, and more than 64 bits, go to FINN's
own functions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from finn.util import data_packing as _finn
from qonnx.core.datatype import BaseDataType

from hw.streams.packing import DataType, pack, unpack
from hw.streams.sim import Beats

P = ParamSpec("P")
T = TypeVar("T")
FINN_ORIGINALS: dict[str, Callable[..., Any]] = {}
"""FINN's functions, as they were before xsi.install() put those below in their places."""
REPLACEMENTS: dict[str, Callable[..., Any]] = {}
"""By their names in finn.util.data_packing."""


def _in_place_of_finns(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function replace FINN's of the same name, which goes on to take the types that hw.streams does not know."""
    name = function.__name__
    original = FINN_ORIGINALS[name] = getattr(_finn, name)

    @functools.wraps(function)
    def fitting(*values: P.args, **named: P.kwargs) -> T:
        dtype = next(value for value in (*values, *named.values()) if isinstance(value, BaseDataType))
        known = dtype.is_integer() and not dtype.is_fixed_point() and dtype.bitwidth() <= 64
        chosen: Callable[P, T] = function if known else original
        return chosen(*values, **named)

    REPLACEMENTS[name] = fitting
    return fitting


def to_ints(beats: Beats) -> list[int]:
    """Return one Python integer per beat, as FINN's simulation interface takes them."""
    flat, size = beats.tobytes(), beats.shape[1]
    return [int.from_bytes(flat[i : i + size], "little") for i in range(0, len(flat), size)]


def from_ints(words: Sequence[int], width_bits: int) -> Beats:
    """Invert to_ints(): one integer per beat to uint8 (beats, bytes); raises ValueError for one that does not fit."""
    size = (width_bits + 7) // 8
    try:
        flat = b"".join([int(word).to_bytes(size, "little") for word in words])
    except OverflowError as error:
        raise ValueError(f"a beat does not fit {width_bits} bits") from error
    return np.frombuffer(flat, dtype=np.uint8).reshape(-1, size)


@_in_place_of_finns
def npy_to_rtlsim_input(
    input_file: Any, input_dtype: BaseDataType, pad_to_nbits: int, reverse_inner: bool = True
) -> list[int]:
    """finn.util.data_packing.npy_to_rtlsim_input: an array or .npy file to one integer per beat, flattened."""
    values = input_file if isinstance(input_file, np.ndarray) else np.load(Path(input_file))
    return to_ints(_pack_fold(values, input_dtype, pad_to_nbits, reverse_inner))


@_in_place_of_finns
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
    array = _unpack_fold(output, dtype, shape, packedBits, reverse_inner)
    if path is not None:
        np.save(path, array)
    return array


@_in_place_of_finns
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
    if values.size == 0 or width % 4:
        strings: npt.NDArray[np.str_] = FINN_ORIGINALS["pack_innermost_dim_as_hex_string"](
            ndarray, dtype, pad_to_nbits, reverse_inner, prefix
        )
        return strings
    words = to_ints(_pack_fold(values, dtype, width, reverse_inner))
    return np.array([f"{prefix}{word:0{width // 4}x}" for word in words]).reshape(values.shape[:-1])


@_in_place_of_finns
def unpack_innermost_dim_from_hex_string(
    ndarray: npt.NDArray[np.str_],
    dtype: BaseDataType,
    out_shape: Sequence[int],
    packedBits: int,  # noqa: N803
    reverse_inner: bool = False,
) -> npt.NDArray[np.float32]:
    """finn.util.data_packing.unpack_innermost_dim_from_hex_string: the inverse of the function above."""
    words = [int(text.split("x")[1], 16) for text in ndarray.flatten().tolist()]
    return _unpack_fold(words, dtype, out_shape, packedBits, reverse_inner)


def _pack_fold(values: npt.NDArray[Any], dtype: BaseDataType, width_bits: int, reverse_inner: bool) -> Beats:
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


def _type(dtype: BaseDataType) -> DataType:
    return DataType.of(str(dtype.get_canonical_name()))
