# SPDX-License-Identifier: Apache-2.0
"""packing.py against FINN's own functions, value for value."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from finn.util import data_packing
from hypothesis import given, settings
from hypothesis import strategies as st
from qonnx.core.datatype import BaseDataType, DataType

from hw.rtlsim import finn_packing as packing
from hw.streams.packing import DataType as StreamType
from hw.streams.packing import pack, unpack

FINN = packing.FINN_ORIGINALS
NAMES = (
    [f"UINT{bits}" for bits in range(1, 65)]
    + [f"INT{bits}" for bits in range(2, 65)]
    + ["BINARY", "BIPOLAR", "TERNARY"]
)


@pytest.fixture(scope="module", autouse=True)
def finn_as_installed() -> Iterator[None]:
    """FINN's functions call one another by name: undo xsi.install(), should another test have called it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, function in FINN.items():
            patch.setattr(data_packing, name, function)
        yield


def draw_values(dtype: BaseDataType, shape: tuple[int, ...], seed: int) -> npt.NDArray[Any]:
    """Random values that float32 holds exactly, the extremes among them."""
    random = np.random.default_rng(seed)
    bits = dtype.bitwidth()
    if dtype.get_canonical_name() == "BIPOLAR":
        return (2.0 * random.integers(0, 2, shape) - 1).astype(np.float32)
    if dtype.get_canonical_name() == "TERNARY":
        return random.integers(-1, 2, shape).astype(np.float32)
    top = bits - 1 if dtype.signed() else bits
    values = random.integers(0, 2 ** min(top, 24), shape).astype(np.float64) * 2.0 ** max(0, top - 24)
    if dtype.signed():
        values = np.where(random.integers(0, 2, shape) == 1, values - 2.0**top, values)
    return values.astype(np.float32)


@st.composite
def folds(draw: st.DrawFn) -> tuple[BaseDataType, npt.NDArray[Any], int, bool]:
    dtype = DataType[draw(st.sampled_from(NAMES))]
    shape = (*draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)), draw(st.integers(1, 9)))
    values = draw_values(dtype, shape, draw(st.integers(0, 2**32)))
    width = shape[-1] * dtype.bitwidth() + draw(st.integers(0, 20))
    return dtype, values, width, draw(st.booleans())


@settings(max_examples=300, deadline=None)
@given(folds())
def test_streams_equal_finns(case: tuple[BaseDataType, npt.NDArray[Any], int, bool]) -> None:
    dtype, values, width, reverse = case
    ours = packing.npy_to_rtlsim_input(values, dtype, width, reverse)
    assert ours == FINN["npy_to_rtlsim_input"](values, dtype, width, reverse)
    arguments = (ours, None, dtype, values.shape, width, dtype.bitwidth(), reverse)
    back = packing.rtlsim_output_to_npy(*arguments)
    theirs = FINN["rtlsim_output_to_npy"](*arguments)
    assert back.dtype == theirs.dtype
    np.testing.assert_array_equal(back, theirs)
    np.testing.assert_array_equal(back, values)


@settings(max_examples=200, deadline=None)
@given(folds(), st.sampled_from(["0x", ""]))
def test_hex_strings_equal_finns(case: tuple[BaseDataType, npt.NDArray[Any], int, bool], prefix: str) -> None:
    dtype, values, width, reverse = case
    width += -width % 4
    ours = packing.pack_innermost_dim_as_hex_string(values, dtype, width, reverse, prefix)
    theirs = FINN["pack_innermost_dim_as_hex_string"](values, dtype, width, reverse, prefix)
    assert ours.shape == theirs.shape
    assert ours.tolist() == theirs.tolist()
    if prefix:
        arguments = (ours, dtype, values.shape, width, reverse)
        back = packing.unpack_innermost_dim_from_hex_string(*arguments)
        np.testing.assert_array_equal(back, FINN["unpack_innermost_dim_from_hex_string"](*arguments))


@settings(max_examples=200, deadline=None)
@given(folds())
def test_beats_round_trip(case: tuple[BaseDataType, npt.NDArray[Any], int, bool]) -> None:
    dtype, values, width, _ = case
    own, elements = StreamType.of(dtype.name), values.shape[-1]
    beats = pack(values.reshape(-1, elements), own, -(-width // 8))
    np.testing.assert_array_equal(unpack(beats, own, elements), values.reshape(-1, elements))
    assert packing.to_ints(beats) == packing.npy_to_rtlsim_input(values, dtype, width)
    np.testing.assert_array_equal(packing.from_ints(packing.to_ints(beats), width), beats)


@pytest.mark.parametrize("name", ["FIXED<6,2>", "FLOAT32"])
def test_other_types_go_to_finn(name: str) -> None:
    dtype = DataType[name]
    values = np.array([[[0.25, -1.5], [1.75, 0.0]]], dtype=np.float32)
    width = 2 * dtype.bitwidth()
    words = packing.npy_to_rtlsim_input(values, dtype, width)
    assert words == FINN["npy_to_rtlsim_input"](values, dtype, width)
    np.testing.assert_array_equal(
        packing.rtlsim_output_to_npy(words, None, dtype, values.shape, width, dtype.bitwidth()), values
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UINT4", 16),
        ("UINT4", -1),
        ("INT4", 8),
        ("INT4", 0.5),
        ("BIPOLAR", 0),
        ("TERNARY", -2),
        ("UINT8", np.nan),
        ("UINT64", 2.0**64),
    ],
)
@pytest.mark.parametrize("elements", [1, 2])
def test_values_out_of_range_are_refused(name: str, value: float, elements: int) -> None:
    with pytest.raises(ValueError, match=name):
        packing.npy_to_rtlsim_input(np.full((3, elements), value, dtype=np.float32), DataType[name], 128)


def test_narrow_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        packing.npy_to_rtlsim_input(np.zeros((1, 5)), DataType["UINT4"], 16)
    with pytest.raises(ValueError, match="does not fit"):
        packing.from_ints([256], 8)
    with pytest.raises(ValueError, match="does not fit"):
        packing.from_ints([-1], 80)


def test_files_are_read_and_written(tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.save(tmp_path / "in.npy", values)
    words = packing.npy_to_rtlsim_input(str(tmp_path / "in.npy"), DataType["UINT3"], 12)
    packing.rtlsim_output_to_npy(words, tmp_path / "out.npy", DataType["UINT3"], (2, 4), 12, 3)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), values)


def test_much_faster_than_finn() -> None:
    dtype, values = DataType["INT4"], draw_values(DataType["INT4"], (1, 16, 16, 2, 8), 0)
    began = time.perf_counter()
    words = FINN["npy_to_rtlsim_input"](values, dtype, 32)
    FINN["rtlsim_output_to_npy"](words, None, dtype, values.shape, 32, 4)
    middle = time.perf_counter()
    words = packing.npy_to_rtlsim_input(values, dtype, 32)
    packing.rtlsim_output_to_npy(words, None, dtype, values.shape, 32, 4)
    assert middle - began > 10 * (time.perf_counter() - middle)
