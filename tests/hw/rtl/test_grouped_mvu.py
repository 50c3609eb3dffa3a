# SPDX-License-Identifier: Apache-2.0
"""grouped_mvu against numpy's product by a matrix with blocks, every beat in its cycle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "grouped_mvu"
PIXELS = 5
LATENCY = 3


@dataclass(frozen=True)
class Shape:
    """One parameter set; widths of element, weight and sum."""

    channels: int
    outputs: int
    groups: int
    taps: int
    simd: int
    widths: tuple[int, int, int]
    signed: bool = True
    ram: str = "auto"

    @property
    def wide(self) -> int:
        return self.channels // self.groups

    @property
    def terms(self) -> int:
        return min(self.simd, self.wide)

    @property
    def pe(self) -> int:
        return self.outputs // self.groups * (self.simd // self.terms)

    @property
    def beats(self) -> int:
        return self.taps * self.wide // self.terms


SHAPES = [
    Shape(16, 48, 16, 9, 4, (4, 4, 11)),  # resnet20's cheap features
    Shape(6, 6, 6, 4, 1, (4, 4, 10), ram="block"),
    Shape(8, 4, 2, 9, 2, (4, 4, 13)),  # a half of a group a beat
    Shape(8, 12, 4, 2, 8, (8, 5, 16), ram="distributed"),  # all groups a beat
    Shape(6, 2, 2, 3, 3, (3, 2, 7), signed=False),  # a group a beat
    Shape(4, 4, 4, 1, 2, (4, 4, 8)),  # a sum a beat
    Shape(9, 9, 3, 4, 1, (8, 8, 12)),  # sums that wrap
    Shape(2, 6, 2, 5, 2, (1, 3, 6), signed=False),
]


def weights_of(number: int) -> np.ndarray:
    """(channel of its group, tap, output)."""
    shape = SHAPES[number]
    size = (shape.wide, shape.taps, shape.outputs)
    return draw(np.random.default_rng([5, number]), size, shape.widths[1], signed=True)


def rom_lines(number: int) -> str:
    """The weights as InitFile wants them."""
    shape, weights = SHAPES[number], weights_of(number)
    width, fan, lines = shape.widths[1], shape.outputs // shape.groups, []
    for first in range(0, shape.channels, shape.simd):
        for tap in range(shape.taps):
            word, place = 0, 0
            for p in range(shape.pe):
                output = first // shape.wide * fan + p
                for t in range(shape.terms):
                    word |= int(weights[(first + t) % shape.wide, tap, output]) % (1 << width) << place
                    place += width
            lines.append(f"{word:x}\n")
    return "".join(lines)


def case(number: int, shape: Shape) -> Case:
    rng = np.random.default_rng([3, number])
    bits, _, total = shape.widths
    elements = draw(rng, (PIXELS, shape.channels, shape.taps), bits, shape.signed)
    groups = elements.reshape(PIXELS, shape.groups, shape.wide, shape.taps)
    weights = weights_of(number).reshape(shape.wide, shape.taps, shape.groups, -1)
    sums = np.einsum("pgct,ctgm->pgm", groups, weights).reshape(-1, shape.pe)
    stream = elements.reshape(PIXELS, -1, shape.simd, shape.taps).swapaxes(2, 3).reshape(-1, shape.simd)
    return Case(
        parameters={
            "Channels": shape.channels,
            "Outputs": shape.outputs,
            "Groups": shape.groups,
            "Taps": shape.taps,
            "SIMD": shape.simd,
            "PE": shape.pe,
            "InWidth": bits,
            "Signed": int(shape.signed),
            "WeightWidth": shape.widths[1],
            "AccWidth": total,
            "InitFile": f'"grouped_{number}.hex"',
            "RamStyle": f'"{shape.ram}"',
        },
        inputs=[Stream(pack(stream, bits, rng), np.arange(len(stream)))],
        outputs=[Stream(pack(sums, total), (np.arange(len(sums)) + 1) * shape.beats - 1 + LATENCY)],
        # A result is offered, the next one waits, and two beats are behind it.
        full_at=2 * shape.beats + 1,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(CELL)
    for number in range(len(SHAPES)):
        (folder / f"grouped_{number}.hex").write_text(rom_lines(number))
    return folder


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    return compile_bench(CELL, CASES, folder)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_products(library: Path, folder: Path, number: int, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_a_reset_in_the_middle_of_a_sum(library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    simulation = Simulation(library)
    simulation.reset()
    simulation.run({"c0_in0": CASES[0].inputs[0].beats[:23]}, {"c0_out0": 2})
    PATTERNS["free"](simulation, CASES, 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Groups": 5, "InitFile": '"x"'}, "Groups must divide Channels"),
        ({"Outputs": 40, "InitFile": '"x"'}, "Groups must divide Outputs"),
        ({"SIMD": 3, "InitFile": '"x"'}, "SIMD must divide Channels"),
        ({"PE": 4, "InitFile": '"x"'}, "PE must be the outputs of the groups in a beat"),
        ({"Taps": 0, "InitFile": '"x"'}, "must be at least 1"),
        ({}, "InitFile must name"),
        ({"InitFile": '"x"', "RamStyle": '"ultra"'}, "RamStyle must be"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
