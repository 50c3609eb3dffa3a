# SPDX-License-Identifier: Apache-2.0
"""tile_pool against numpy, every beat in its cycle, frames without a gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "tile_pool"
FRAMES = 3
NAMES = (
    "PE", "Channels", "Height", "Width", "KernelHeight", "KernelWidth",
    "InWidth", "OutWidth", "Signed", "Func", "Shift",
)  # fmt: skip
SETS = [
    (4, 16, 8, 8, 4, 4, 4, 4, 1, 0, 4),  # truncating average of INT4, as resnet20's first stage
    (1, 3, 4, 4, 2, 2, 4, 4, 1, 0, 2),  # groups that are no power of two
    (2, 2, 5, 7, 2, 2, 4, 4, 1, 0, 2),  # a row and a column left out
    (1, 2, 7, 5, 3, 2, 4, 7, 0, 0, 0),  # plain sum; a row and a column left out of windows that are no squares
    (3, 6, 3, 6, 1, 3, 1, 2, 0, 0, 0),  # 3 x UINT1 is UINT2
    (1, 1, 4, 8, 2, 4, 8, 12, 1, 0, 3),  # a result wider than needed
    (2, 4, 4, 6, 2, 2, 8, 8, 1, 1, 0),
    (1, 4, 6, 6, 3, 3, 5, 5, 0, 1, 0),
    (8, 8, 4, 4, 2, 2, 1, 1, 0, 1, 0),  # bipolar maximum
    (2, 4, 3, 3, 1, 1, 3, 3, 1, 0, 0),  # windows of one pixel
    (2, 4, 3, 3, 3, 3, 4, 8, 1, 0, 0),  # the whole picture
    (4, 64, 1, 64, 1, 64, 4, 10, 1, 0, 0),  # the same as one row: the last stage of resnet20
    (1, 3, 2, 7, 1, 7, 8, 16, 0, 0, 0),
]


def case(numbers: tuple[int, ...]) -> Case:
    pe, channels, height, width, down, across, in_width, out_width, signed, func, shift = numbers
    rng = np.random.default_rng(list(numbers))
    values = draw(rng, (FRAMES, height, width, channels), in_width, bool(signed))
    values[0] = -(1 << (in_width - 1)) if signed else (1 << in_width) - 1  # the extreme sum
    rows, columns, folds = height // down, width // across, channels // pe
    whole = values[:, : rows * down, : columns * across].reshape(FRAMES, rows, down, columns, across, channels)
    pooled = whole.max(axis=(2, 4)) if func else whole.sum(axis=(2, 4)) >> shift
    cycles = np.arange(FRAMES * height * width * folds).reshape(FRAMES, height, width, folds)
    last = cycles[:, down - 1 :: down, across - 1 :: across].ravel()
    return Case(
        parameters=dict(zip(NAMES, numbers, strict=True)),
        inputs=[Stream(pack(values.reshape(-1, pe), in_width, rng), cycles.ravel())],
        outputs=[Stream(pack(pooled.reshape(-1, pe), out_width), last + 1)],
        full_at=int(last[1]),
    )


CASES = [case(numbers) for numbers in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_pool(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_a_reset_in_the_middle_of_a_frame(library: Path) -> None:
    simulation = Simulation(library)
    simulation.reset()
    simulation.run({"c2_in0": CASES[2].inputs[0].beats[:17]}, {"c2_out0": 3})
    PATTERNS["free"](simulation, CASES, 2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 2, "Channels": 3}, "PE must divide Channels"),
        ({"PE": 0}, "must be at least 1"),
        ({"KernelHeight": 5}, "must hold a window"),
        ({"KernelWidth": 0}, "must hold a window"),
        ({"Func": 2}, "Func must be 0 (average) or 1 (maximum)"),
        ({"OutWidth": 3}, "OutWidth hold every result"),
        ({"Shift": 6}, "Shift must leave a bit"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
