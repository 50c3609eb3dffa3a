# SPDX-License-Identifier: Apache-2.0
"""residual_join against numpy: batch norm of a count, residual, clip and sign, every beat in its cycle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
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
    steps: int | None = None  # of a table, the logarithm of the counts a word; None for lines

    @property
    def form(self) -> str:
        return "line" if self.steps is None else "table"


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
    Shape(6, 3, (8, 4, 4, 10, 18), 10),  # two lanes and one
]
# The same as tables; counts of 24 bits have none.
TABLES = {0: (0, "block"), 1: (2, "block"), 2: (2, "distributed"), 3: (1, "auto"), 4: (0, "block"), 5: (0, "auto")}
TABLES |= {6: (0, "auto"), 8: (0, "distributed"), 9: (1, "block")}
LINES = len(SHAPES)
SHAPES += [replace(SHAPES[line], steps=steps, ram=ram) for line, (steps, ram) in TABLES.items()]


def line_of(number: int) -> int:
    """The number of the shape that says the same by lines."""
    return number if number < LINES else list(TABLES)[number - LINES]


def rows_of(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and offsets of the channels: such that totals lie around the range of the sums."""
    shape = SHAPES[number]
    count, _, total, factor, offset = shape.widths
    rng = np.random.default_rng([7, line_of(number)])
    steep = min((1 << factor) - 1, (4 << (total + shape.shift)) // (1 << count) + 1)
    factors = rng.integers(0, steep + 1, shape.channels)
    middle = factors * (1 << count) // 2
    limit = (1 << (offset - 1)) - 1
    return factors, np.clip(rng.integers(-(1 << shape.shift), 1 << shape.shift, shape.channels) - middle, -limit, limit)


def memories(number: int) -> dict[str, str]:
    """The constants as InitFile wants them: the contents of each file, by its name."""
    shape = SHAPES[number]
    if shape.steps is not None:
        return {f"rows_{number}_{m}.hex": table_words(number, m) for m in range((shape.pe + 1) // 2)}
    factors, offsets = rows_of(number)
    factor, offset = shape.widths[3:]
    rows = [int(f) | (int(o) % (1 << offset)) << factor for f, o in zip(factors, offsets, strict=True)]
    beats = [rows[first : first + shape.pe] for first in range(0, shape.channels, shape.pe)]
    words = [sum(row << lane * (factor + offset) for lane, row in enumerate(beat)) for beat in beats]
    return {f"rows_{number}.hex": "".join(f"{word:x}\n" for word in words)}


def level_range(shape: Shape) -> tuple[int, int, int]:
    """The least and the largest level that matter, and the bits of both."""
    _, residual, total, _, _ = shape.widths
    low = -(1 << (total - 1)) - (1 << (residual - 1)) + 1
    high = (1 << (total - 1)) - 1 + (1 << (residual - 1))
    return low, high, max(high, ~low).bit_length() + 1


def table_words(number: int, memory: int) -> str:
    """The words of the one or two lanes of a memory, as the header of join_table orders them."""
    shape = SHAPES[number]
    assert shape.steps is not None
    factors, offsets = rows_of(number)
    low, high, bits = level_range(shape)
    lines = []
    for fold in range(shape.channels // shape.pe):
        for lane in range(2 * memory, min(2 * memory + 2, shape.pe)):
            channel = fold * shape.pe + lane
            for first in range(0, 1 << shape.widths[0], 1 << shape.steps):
                counts = first + np.arange(1 << shape.steps)
                level = np.clip((factors[channel] * counts + offsets[channel]) >> shape.shift, low, high)
                rises = [int(rise) for rise in np.diff(level)]
                assert set(rises) <= {0, 1}
                word = int(level[0]) % (1 << bits) + sum(rise << bits + i for i, rise in enumerate(rises))
                lines.append(f"{word:x}\n")
    return "".join(lines)


def case(number: int, shape: Shape) -> Case:
    rng = np.random.default_rng([3, line_of(number)])
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
            "RamStyle": f'"{shape.ram}"',
            **(
                {
                    "FactorWidth": factor,
                    "OffsetWidth": offset,
                    "Shift": shape.shift,
                    "InitFile": f'"rows_{number}.hex"',
                }
                if shape.steps is None
                else {
                    "Table": "1'b1",
                    "LevelWidth": level_range(shape)[-1],
                    "StepBits": shape.steps,
                    "InitFile": f'"rows_{number}_"',
                }
            ),
        },
        inputs=[
            Stream(pack(counts.reshape(-1, shape.pe), count, rng), cycle),
            Stream(pack(residuals.reshape(-1, shape.pe), residual, rng), cycle),
        ],
        outputs=outputs,
        full_at=LATENCY + 1,
        skid=1,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the constants lie; the bench names them without a folder, so that the compile cache finds it again."""
    folder = tmp_path_factory.mktemp(CELL)
    for number in range(len(SHAPES)):
        for name, words in memories(number).items():
            (folder / name).write_text(words)
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


def test_both_forms_have_the_same_answers() -> None:
    """The cases of tables repeat those of lines, so that what one form gives is what the other gives."""
    for number, line in enumerate(TABLES, LINES):
        for mine, other in zip(CASES[number].outputs, CASES[line].outputs, strict=True):
            np.testing.assert_array_equal(mine.beats, other.beats)


@pytest.mark.parametrize("number", [4, LINES + list(TABLES).index(4)])
def test_a_reset_in_the_middle_of_a_pixel(
    library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.chdir(folder)
    simulation, case = Simulation(library), CASES[number]
    half = {f"c{number}_in{i}": stream.beats[:2] for i, stream in enumerate(case.inputs)}
    simulation.reset()
    simulation.run(half, {f"c{number}_out0": 2, f"c{number}_out1": 2})
    PATTERNS["free"](simulation, CASES, number)


def test_a_wrong_step_is_seen(library: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits of a table that say that a level is one higher than the one before."""
    number = next(n for n, shape in enumerate(SHAPES) if shape.steps == 2)
    first_step = 1 << level_range(SHAPES[number])[-1]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for name, words in memories(number).items():
        (tmp_path / name).write_text("".join(f"{int(word, 16) ^ first_step:x}\n" for word in words.split()))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        PATTERNS["free"](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide Channels"),
        ({"SumWidth": 0}, "must be at least 1"),
        ({"FactorWidth": 18}, "FactorWidth must be 1 .. 17"),
        ({"OffsetWidth": 12}, "OffsetWidth must be larger than Shift"),
        ({}, "InitFile must name the file"),
        ({"SumWidth": 20}, "SumWidth bits above Shift"),
        ({"CountWidth": 24, "FactorWidth": 17, "OffsetWidth": 48}, "at most 48 bits"),
        ({"Table": 1, "StepBits": 8}, "StepBits less than CountWidth"),
        ({"Table": 1, "SumWidth": 7}, "at most one bit more"),
    ],
)
def test_bad_parameters(parameters: dict[str, int], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
