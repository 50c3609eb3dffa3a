# SPDX-License-Identifier: Apache-2.0
"""stream_duplicate: every output is the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "stream_duplicate"
BEATS = 200
SETS = [(4, 2), (1, 2), (8, 3), (13, 4), (64, 2), (6, 8)]  # Width, NumOutputs


def case(width: int, outputs: int) -> Case:
    rng = np.random.default_rng([width, outputs])
    values = draw(rng, (BEATS, width), 1, signed=False)
    cycle = np.arange(BEATS)
    return Case(
        parameters={"Width": width, "NumOutputs": outputs},
        inputs=[Stream(pack(values, 1, rng), cycle, width)],
        outputs=[Stream(pack(values, 1), cycle + 1, width)] * outputs,
        full_at=2,
        slot=width,
        skid=1,
    )


CASES = [case(*values) for values in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_copies(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Width": 0}, "Width must be at least 1"),
        ({"NumOutputs": 1}, "NumOutputs must be 2..8"),
        ({"NumOutputs": 9}, "NumOutputs must be 2..8"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
