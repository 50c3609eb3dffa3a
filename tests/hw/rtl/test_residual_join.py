# SPDX-License-Identifier: Apache-2.0
"""residual_join against numpy: batch norm of a count, residual, clip and sign, every beat in its cycle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "residual_join"
PIXELS = 30
LATENCY = 5


@dataclass(frozen=True)
class Shape:
    """One parameter set; widths of count, residual, sum, factor and offset."""

    channels: int
    pe: int
    widths: tuple[int, int, int, int, int]
    shift: int
    ram: str = "auto"


SHAPES = [
    Shape(16, 8, (8, 4, 4, 12, 18), 12),  # the joins of ResNet-20
    Shape(32, 4, (9, 4, 4, 13, 20), 14, ram="block"),
    Shape(64, 2, (10, 4, 4, 12, 20), 13, ram="distributed"),
    Shape(6, 6, (8, 6, 6, 10, 16), 9),  # one beat a pixel
    Shape(5, 1, (7, 8, 8, 9, 17), 6),
    Shape(3, 1, (4, 2, 2, 3, 6), 0),  # whole factors
    Shape(2, 2, (1, 1, 1, 1, 2), 1),
    Shape(4, 2, (24, 8, 3, 17, 40), 20),  # all that a DSP block takes; another format than the residual's
    Shape(4, 4, (6, 3, 5, 6, 10), 3),
]


def rows_of(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and offsets of the channels: such that totals lie around the range of the sums."""
    shape = SHAPES[number]
    count, _, total, factor, offset = shape.widths
    rng = np.random.default_rng([7, number])
    steep = min((1 << factor) - 1, (4 << (total + shape.shift)) // (1 << count) + 1)
    factors = rng.integers(0, steep + 1, shape.channels)
    middle = factors * (1 << count) // 2
    limit = (1 << (offset - 1)) - 1
    return factors, np.clip(rng.integers(-(1 << shape.shift), 1 << shape.shift, shape.channels) - middle, -limit, limit)


def rom_lines(number: int) -> str:
    """The constants as InitFile wants them."""
    shape = SHAPES[number]
    factors, offsets = rows_of(number)
    factor, offset = shape.widths[3:]
    rows = [int(f) | (int(o) % (1 << offset)) << factor for f, o in zip(factors, offsets, strict=True)]
    beats = [rows[first : first + shape.pe] for first in range(0, shape.channels, shape.pe)]
    words = [sum(row << lane * (factor + offset) for lane, row in enumerate(beat)) for beat in beats]
    return "".join(f"{word:x}\n" for word in words)


def case(number: int, shape: Shape) -> Case:
    rng = np.random.default_rng([3, number])
    count, residual, total, factor, offset = shape.widths
    factors, offsets = rows_of(number)
    counts = draw(rng, (PIXELS, shape.channels), count, signed=False)
    residuals = draw(rng, (PIXELS, shape.channels), residual, signed=True)
    whole = (factors * counts + offsets + (residuals << shape.shift)) >> shape.shift
    sums = np.clip(whole, -(1 << (total - 1)), (1 << (total - 1)) - 1).reshape(-1, shape.pe)
    cycle = np.arange(len(sums))
    signs = (sums >= 0).astype(np.int64)
    outputs = [Stream(pack(values, bits), cycle + LATENCY) for values, bits in ((sums, total), (signs, 1))]
    return Case(
        parameters={
            "Channels": shape.channels,
            "PE": shape.pe,
            "CountWidth": count,
            "ResidualWidth": residual,
            "SumWidth": total,
            "FactorWidth": factor,
            "OffsetWidth": offset,
            "Shift": shape.shift,
            "InitFile": f'"rows_{number}.hex"',
            "RamStyle": f'"{shape.ram}"',
        },
        inputs=[
            Stream(pack(counts.reshape(-1, shape.pe), count, rng), cycle),
            Stream(pack(residuals.reshape(-1, shape.pe), residual, rng), cycle),
        ],
        outputs=outputs,
        full_at=LATENCY,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the constants lie; the bench names them without a folder, so that the compile cache finds it again."""
    folder = tmp_path_factory.mktemp(CELL)
    for number in range(len(SHAPES)):
        (folder / f"rows_{number}.hex").write_text(rom_lines(number))
    return folder


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    return compile_bench(CELL, CASES, folder)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_join(library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, pattern: str) -> None:
    monkeypatch.chdir(folder)
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_both_ends_of_the_range_are_reached() -> None:
    """Else a missing clip would not be seen."""
    for number, shape in enumerate(SHAPES):
        total = shape.widths[2]
        sums = np.unpackbits(CASES[number].outputs[0].beats, axis=1, bitorder="little")[:, : shape.pe * total]
        values = {tuple(row) for row in sums.reshape(-1, total)}
        lowest, highest = (*[0] * (total - 1), 1), (*[1] * (total - 1), 0)
        assert {lowest, highest} <= values, shape


def test_a_reset_in_the_middle_of_a_pixel(library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    simulation, case = Simulation(library), CASES[4]
    half = {f"c4_in{i}": stream.beats[:2] for i, stream in enumerate(case.inputs)}
    simulation.reset()
    simulation.run(half, {"c4_out0": 2, "c4_out1": 2})
    PATTERNS["free"](simulation, CASES, 4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide Channels"),
        ({"SumWidth": 0}, "must be at least 1"),
        ({"FactorWidth": 18}, "FactorWidth must be 1 .. 17"),
        ({"OffsetWidth": 12}, "OffsetWidth must be larger than Shift"),
        ({}, "InitFile must name the file"),
        ({"SumWidth": 20}, "SumWidth above Shift"),
        ({"CountWidth": 24, "FactorWidth": 17, "OffsetWidth": 48}, "at most 48 bits"),
    ],
)
def test_bad_parameters(parameters: dict[str, int], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
