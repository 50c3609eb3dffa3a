# SPDX-License-Identifier: Apache-2.0
"""Packing against single bits; FINN's functions are compared with it in tests/hw/rtlsim/test_finn_packing.py."""

from __future__ import annotations

import numpy as np
import pytest

from hw.streams.packing import DataType, PackingError, pack, unpack

NAMED = ["BINARY", "BIPOLAR", "TERNARY"]
TYPES = [f"UINT{bits}" for bits in range(2, 65)] + [f"INT{bits}" for bits in range(2, 65)] + NAMED


def bit_by_bit(row: list[int], datatype: DataType, width: int) -> list[int]:
    """The bytes of a beat, as the convention has them."""
    beat = 0
    for index, value in enumerate(row):
        code = (value > 0) if datatype.name == "BIPOLAR" else value % 2**datatype.bits
        beat |= code << index * datatype.bits
    return list(beat.to_bytes(width, "little"))


@pytest.mark.parametrize("elements", [1, 3, 8, 18])
@pytest.mark.parametrize("name", TYPES)
def test_bytes_are_those_of_the_convention(name: str, elements: int) -> None:
    datatype = DataType.of(name)
    rng = np.random.default_rng(datatype.bits)
    values = rng.integers(datatype.low, datatype.high, (4, 5, elements), datatype.dtype, endpoint=True)
    values[values == 0] = 1 if name == "BIPOLAR" else 0
    values[0, 0] = datatype.low
    values[0, 1] = datatype.high
    width = (elements * datatype.bits + 7) // 8 + 1
    packed = pack(values, datatype, width)
    rows = [bit_by_bit(row, datatype, width) for row in values.reshape(-1, elements).tolist()]
    assert packed.reshape(-1, width).tolist() == rows
    found = unpack(packed, datatype, elements)
    assert np.array_equal(found, values)
    assert found.dtype == datatype.dtype


def test_writes_into_a_buffer() -> None:
    buffer = np.full((2, 4), 255, np.uint8)
    assert pack(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), DataType.of("UINT8"), 4, out=buffer) is buffer
    assert buffer.tolist() == [[1, 2, 3, 0], [4, 5, 6, 0]]


def test_padding_is_ignored() -> None:
    beats = np.array([[0b11110110]], np.uint8)
    assert unpack(beats, DataType.of("INT2"), 2).tolist() == [[-2, 1]]


@pytest.mark.parametrize("name", ["INT5", "DataType['INT5']"])
def test_names(name: str) -> None:
    assert DataType.of(name) == DataType("INT5", 5, -16, 15)


@pytest.mark.parametrize("name", ["FLOAT32", "INT65", "UINT0", "int8", "INT", "FIXED<8,4>"])
def test_types_that_are_none(name: str) -> None:
    with pytest.raises(PackingError, match="no integer type"):
        DataType.of(name)


@pytest.mark.parametrize(
    ("values", "name", "message"),
    [
        (np.array([[16]]), "UINT4", "values from 16 to 16 are not all UINT4"),
        (np.array([[-1]]), "UINT4", "not all UINT4"),
        (np.array([[0.5]]), "UINT4", "no integers; do not normalise"),
        (np.array([[np.nan]]), "UINT4", "not all UINT4"),
        (np.array([[0, 1]]), "BIPOLAR", "0 is not BIPOLAR"),
        (np.array([["a"]]), "UINT4", "cannot pack an array of <U1"),
        (np.zeros((1, 3), np.uint8), "UINT8", "3 elements of UINT8 do not fit beats of 2 bytes"),
    ],
)
def test_what_cannot_be_packed(values: np.ndarray, name: str, message: str) -> None:
    with pytest.raises(PackingError, match=message):
        pack(values, DataType.of(name), 2)


def test_buffers_of_another_shape() -> None:
    with pytest.raises(PackingError, match=r"needs uint8 \(1, 2\), not uint8 \(1, 3\)"):
        pack(np.zeros((1, 2), np.uint8), DataType.of("UINT8"), 2, out=np.zeros((1, 3), np.uint8))
    with pytest.raises(PackingError, match="cannot come from 1 bytes"):
        unpack(np.zeros((1, 1), np.uint8), DataType.of("UINT8"), 2)
