# SPDX-License-Identifier: Apache-2.0
"""channel_complement against numpy's complement of the chosen channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "channel_complement"
PIXELS = 30
# PE, Width, channels
SETS = [(1, 1, 16), (8, 1, 24), (3, 4, 9), (4, 5, 4), (1, 4, 1)]


def case(pe: int, width: int, channels: int) -> Case:
    rng = np.random.default_rng([pe, width, channels])
    values = draw(rng, (PIXELS, channels), width, signed=True)
    chosen = rng.random(channels) < 0.5
    chosen[-1] = True
    expected = np.where(chosen, ~values, values)
    cycles = np.arange(PIXELS * channels // pe)
    mask = sum(1 << int(channel) for channel in np.flatnonzero(chosen))
    return Case(
        parameters={"PE": pe, "Width": width, "Channels": channels, "Mask": f"{channels}'h{mask:x}"},
        inputs=[Stream(pack(values.reshape(-1, pe), width, rng), cycles)],
        outputs=[Stream(pack(expected.reshape(-1, pe), width), cycles + 1)],
        full_at=1,
    )


CASES = [case(*values) for values in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_complement(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize("parameters", [{"PE": 0}, {"PE": 3}, {"Width": 0}])
def test_bad_parameters(parameters: dict[str, int | str]) -> None:
    assert "PE must divide Channels" in lint(CELL, sources(CELL), parameters)
