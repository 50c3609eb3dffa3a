# SPDX-License-Identifier: Apache-2.0
"""window_pool against numpy, in the order of a depthwise ConvolutionInputGenerator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "window_pool"
PIXELS = 12
NAMES = ("PE", "Channels", "WindowBeats", "InWidth", "OutWidth", "Signed", "Func", "Shift")
SETS = [
    (1, 4, 16, 4, 4, 1, 0, 4),  # truncating average of 4x4 windows of INT4
    (2, 8, 4, 4, 4, 1, 0, 2),
    (4, 4, 9, 4, 8, 1, 0, 0),  # plain sum, all channels in a beat
    (1, 2, 16, 4, 4, 0, 0, 4),
    (3, 6, 3, 1, 2, 0, 0, 0),  # 3 x UINT1 is UINT2
    (1, 3, 5, 8, 12, 1, 0, 2),  # a result wider than needed
    (2, 4, 4, 8, 8, 1, 1, 0),
    (1, 4, 9, 5, 5, 0, 1, 0),
    (8, 8, 4, 1, 1, 0, 1, 0),  # bipolar maximum
    (2, 4, 1, 3, 3, 1, 0, 0),  # one-beat windows
]


def case(numbers: tuple[int, ...]) -> Case:
    pe, channels, window, in_width, out_width, signed, func, shift = numbers
    rng = np.random.default_rng([pe, channels, window, in_width])
    values = draw(rng, (PIXELS, window, channels), in_width, bool(signed))  # as Im2Col lays them out
    pooled = values.max(axis=1) if func else values.sum(axis=1) >> shift
    stream = values.reshape(PIXELS, window, channels // pe, pe).transpose(0, 2, 1, 3).reshape(-1, pe)
    results = np.arange(PIXELS * channels // pe)
    return Case(
        parameters=dict(zip(NAMES, numbers, strict=True)),
        inputs=[Stream(pack(stream, in_width, rng), np.arange(len(stream)))],
        outputs=[Stream(pack(pooled.reshape(-1, pe), out_width), (results + 1) * window)],
        full_at=2 * window - 1,
    )


CASES = [case(numbers) for numbers in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_pool(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"WindowBeats": 0}, "must be at least 1"),
        ({"PE": 2, "Channels": 3}, "PE must divide Channels"),
        ({"Func": 2}, "Func must be 0 (average) or 1 (maximum)"),
        ({"OutWidth": 3}, "OutWidth hold every result"),
        ({"Shift": 6}, "Shift must leave a bit"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
