# SPDX-License-Identifier: Apache-2.0
"""global_acc_pool against numpy.sum over the pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "global_acc_pool"
FRAMES = 5
NAMES = ("Channels", "PE", "InWidth", "OutWidth", "Signed", "Pixels")
SETS = [
    (64, 4, 4, 10, 1, 64),  # the last stage of resnet20
    (8, 1, 4, 8, 1, 9),
    (6, 3, 4, 8, 0, 16),
    (2, 2, 5, 9, 1, 16),  # all channels in a beat
    (3, 1, 1, 2, 0, 3),
    (4, 2, 8, 16, 1, 7),  # a result wider than needed
    (4, 1, 4, 4, 1, 1),  # one pixel
]


def case(numbers: tuple[int, ...]) -> Case:
    channels, pe, in_width, out_width, signed, pixels = numbers
    rng = np.random.default_rng([channels, pe, in_width])
    values = draw(rng, (FRAMES, pixels, channels), in_width, bool(signed))
    values[0] = -(1 << (in_width - 1)) if signed else (1 << in_width) - 1  # the extreme sum
    folds = channels // pe
    cycles = np.arange(FRAMES * pixels * folds).reshape(FRAMES, pixels, folds)
    return Case(
        parameters=dict(zip(NAMES, numbers, strict=True)),
        inputs=[Stream(pack(values.reshape(-1, pe), in_width, rng), cycles.ravel())],
        outputs=[Stream(pack(values.sum(axis=1).reshape(-1, pe), out_width), cycles[:, -1].ravel() + 1)],
        full_at=(pixels - 1) * folds + 1 if folds > 1 else 2 * pixels - 1,
    )


CASES = [case(numbers) for numbers in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_sum(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Pixels": 0}, "must be at least 1"),
        ({"PE": 5}, "PE must divide Channels"),
        ({"OutWidth": 9}, "OutWidth must hold every sum"),
        ({"PE": 0}, "PE must divide Channels"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
