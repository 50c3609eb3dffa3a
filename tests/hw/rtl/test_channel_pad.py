# SPDX-License-Identifier: Apache-2.0
"""channel_pad against numpy.pad along the channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "channel_pad"
PIXELS = 30
# PE, Width, ChIn, ChOut, Offset
SETS = [
    (1, 4, 16, 32, 8),  # option A shortcut
    (4, 4, 32, 64, 16),
    (2, 4, 4, 8, 0),
    (2, 3, 4, 10, 6),  # nothing after
    (3, 5, 3, 9, 3),
    (1, 1, 1, 2, 1),
    (4, 2, 4, 4, 0),  # nothing to pad
]


def case(pe: int, width: int, ch_in: int, ch_out: int, offset: int) -> Case:
    rng = np.random.default_rng([pe, width, ch_in])
    values = draw(rng, (PIXELS, ch_in), width, signed=True)
    padded = np.pad(values, ((0, 0), (offset, ch_out - ch_in - offset)))
    cycles = np.arange(PIXELS * ch_out // pe).reshape(PIXELS, -1)
    taken = cycles[:, offset // pe : (offset + ch_in) // pe]
    return Case(
        parameters={"PE": pe, "Width": width, "ChIn": ch_in, "ChOut": ch_out, "Offset": offset},
        inputs=[Stream(pack(values.reshape(-1, pe), width, rng), taken.ravel())],
        outputs=[Stream(pack(padded.reshape(-1, pe), width), cycles.ravel() + 1)],
        full_at=1,
    )


CASES = [case(*values) for values in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_padding(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 0}, "PE must divide ChIn, ChOut and Offset"),
        ({"PE": 3}, "PE must divide ChIn, ChOut and Offset"),
        ({"Offset": 17}, "Offset + ChIn must not exceed ChOut"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
