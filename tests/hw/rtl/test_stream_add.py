# SPDX-License-Identifier: Apache-2.0
"""stream_add against numpy addition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "stream_add"
BEATS = 200
NAMES = ("PE", "WidthA", "WidthB", "WidthO", "SignedA", "SignedB")
SETS = [
    (1, 5, 4, 6, 1, 1),  # the residual add
    (2, 5, 4, 6, 1, 1),
    (4, 4, 5, 6, 1, 1),
    (3, 4, 4, 5, 0, 0),
    (1, 8, 2, 10, 0, 1),  # an unsigned and a signed operand: two bits more than the wider one
    (1, 2, 8, 12, 0, 1),  # a result wider than needed
    (5, 1, 1, 2, 0, 0),
    (1, 16, 16, 17, 1, 1),
]


def case(numbers: tuple[int, ...]) -> Case:
    pe, a_width, b_width, o_width, a_signed, b_signed = numbers
    rng = np.random.default_rng([pe, a_width, b_width])
    a = draw(rng, (BEATS, pe), a_width, bool(a_signed))
    b = draw(rng, (BEATS, pe), b_width, bool(b_signed))
    cycle = np.arange(BEATS)
    return Case(
        parameters=dict(zip(NAMES, numbers, strict=True)),
        inputs=[Stream(pack(a, a_width, rng), cycle), Stream(pack(b, b_width, rng), cycle)],
        outputs=[Stream(pack(a + b, o_width), cycle + 1)],
        full_at=1,
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
        ({"PE": 0}, "must be at least 1"),
        ({"WidthO": 5}, "WidthO must hold every sum"),
        ({"SignedB": 0, "WidthA": 4, "WidthO": 5}, "WidthO must hold every sum"),
    ],
)
def test_bad_parameters(parameters: dict[str, int], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
