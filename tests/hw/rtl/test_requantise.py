# SPDX-License-Identifier: Apache-2.0
"""requantise against numpy: a line of each channel, clipped, every beat in its cycle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "requantise"
PIXELS = 40
LATENCY = 5


@dataclass(frozen=True)
class Shape:
    """One parameter set; bits of an input, of what is kept of it, of an output, a factor and an offset."""

    channels: int
    pe: int
    widths: tuple[int, int, int, int, int]
    shift: int
    signed: tuple[bool, bool] = (True, True)
    ram: str = "auto"


SHAPES = [
    Shape(16, 8, (19, 17, 4, 18, 36), 27),  # after the stem of ResNet-20
    Shape(48, 2, (9, 9, 4, 14, 20), 15, ram="block"),
    Shape(64, 1, (10, 10, 8, 19, 29), 18, ram="distributed"),
    Shape(6, 3, (12, 6, 4, 9, 13), 5),
    Shape(5, 1, (8, 9, 4, 9, 20), 10, signed=(False, True)),
    Shape(4, 4, (8, 8, 3, 6, 18), 8, signed=(True, False)),
    Shape(4, 2, (16, 12, 8, 6, 17), 6, signed=(False, False)),
    Shape(2, 1, (24, 24, 8, 16, 40), 30),  # nearly all that a DSP block takes
    Shape(3, 1, (2, 2, 2, 3, 4), 0),
    Shape(4, 4, (7, 3, 2, 8, 10), 6),
]


def rows_of(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and offsets: lines that leave the output's range within what is kept of an input."""
    shape, rng = SHAPES[number], np.random.default_rng([5, number])
    _, kept, out, factor, _ = shape.widths
    half = 1 << (kept - 2 if kept < shape.widths[0] + (not shape.signed[0]) else kept - 1)
    steep = -(-(1 << (out + shape.shift)) // half)  # twice through the range
    assert steep < 1 << factor
    factors = rng.integers(steep, min((1 << factor) - 1, 3 * steep) + 1, shape.channels)
    offsets = rng.integers(-(1 << shape.shift), (1 << shape.shift) + 1, shape.channels)
    middle = 0 if shape.signed[1] else 1 << (out - 1 + shape.shift)
    if not shape.signed[0]:
        offsets = offsets - factors * half // 2
    return factors, offsets + middle


def answers(number: int, values: np.ndarray) -> np.ndarray:
    shape = SHAPES[number]
    factors, offsets = rows_of(number)
    least = -(1 << (shape.widths[2] - 1)) if shape.signed[1] else 0
    return np.clip((factors * values + offsets) >> shape.shift, least, least + (1 << shape.widths[2]) - 1)


def memory(number: int) -> str:
    shape = SHAPES[number]
    factors, offsets = rows_of(number)
    if not shape.signed[1]:
        offsets = offsets - (1 << (shape.widths[2] - 1 + shape.shift))
    factor, offset = shape.widths[3:]
    assert max(offsets.max(), ~offsets.min()) < 1 << (offset - 1)
    rows = [int(f) | (int(o) % (1 << offset)) << factor for f, o in zip(factors, offsets, strict=True)]
    beats = [rows[first : first + shape.pe] for first in range(0, shape.channels, shape.pe)]
    return "".join(f"{sum(row << lane * (factor + offset) for lane, row in enumerate(beat)):x}\n" for beat in beats)


def case(number: int, shape: Shape) -> Case:
    rng = np.random.default_rng([3, number])
    width, kept, out, factor, offset = shape.widths
    values = draw(rng, (PIXELS, shape.channels), width, signed=shape.signed[0])
    near = 1 << max(kept - 2, 1)  # half of them where the lines rise
    close = rng.integers(-near - 2 if shape.signed[0] else 0, near + 2, values.shape)
    values = np.where(rng.random(values.shape) < 0.5, values, close).clip(values.min(), values.max())
    results = answers(number, values).reshape(-1, shape.pe)
    cycle = np.arange(len(results))
    return Case(
        parameters={
            "Channels": shape.channels,
            "PE": shape.pe,
            "InWidth": width,
            "InSigned": f"1'b{int(shape.signed[0])}",
            "KeptWidth": kept,
            "OutWidth": out,
            "OutSigned": f"1'b{int(shape.signed[1])}",
            "FactorWidth": factor,
            "OffsetWidth": offset,
            "Shift": shape.shift,
            "InitFile": f'"lines_{number}.hex"',
            "RamStyle": f'"{shape.ram}"',
        },
        inputs=[Stream(pack(values.reshape(-1, shape.pe), width, rng), cycle)],
        outputs=[Stream(pack(results, out), cycle + LATENCY)],
        full_at=LATENCY,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the constants lie; the bench names them without a folder, so that the compile cache finds it again."""
    folder = tmp_path_factory.mktemp(CELL)
    for number in range(len(SHAPES)):
        (folder / f"lines_{number}.hex").write_text(memory(number))
    return folder


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    return compile_bench(CELL, CASES, folder)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_requantise(library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, pattern: str) -> None:
    monkeypatch.chdir(folder)
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_a_reset_in_the_middle_of_a_pixel(library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    simulation, case = Simulation(library), CASES[4]
    simulation.reset()
    simulation.run({"c4_in0": case.inputs[0].beats[:2]}, {"c4_out0": 2})
    PATTERNS["free"](simulation, CASES, 4)


def test_a_wrong_offset_is_seen(library: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = SHAPES[5]
    wrong = 1 << (shape.widths[3] + shape.shift)
    for number in range(len(SHAPES)):
        words = [int(word, 16) ^ (wrong if number == 5 else 0) for word in memory(number).split()]
        (tmp_path / f"lines_{number}.hex").write_text("".join(f"{word:x}\n" for word in words))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        PATTERNS["free"](Simulation(library), CASES, 5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide Channels"),
        ({"KeptWidth": 13}, "KeptWidth must be 3 up to"),
        ({"OffsetWidth": 14}, "OffsetWidth must be larger than Shift"),
        ({"OutWidth": 20, "InitFile": '"a"'}, "OutWidth bits above Shift"),
        ({}, "InitFile must name the file"),
        ({"InWidth": 20, "KeptWidth": 19, "FactorWidth": 18}, "up to 25 bits, the other up to 18"),
        ({"OffsetWidth": 48}, "at most 48 bits"),
    ],
)
def test_bad_parameters(parameters: dict[str, int], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
