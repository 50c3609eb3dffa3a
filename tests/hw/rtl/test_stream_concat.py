# SPDX-License-Identifier: Apache-2.0
"""stream_concat against numpy.concatenate along the channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "stream_concat"
PIXELS = 40
# PE, channels of each input, widths, signs, OutWidth
SETS = [
    (1, (16, 16), (4, 4), (1, 1), 4),  # primary and cheap features
    (4, (16, 4, 8), (4, 4, 4), (1, 1, 1), 4),  # unequal channel counts
    (2, (2, 6), (4, 4), (0, 0), 4),
    (3, (3, 3, 3, 9, 3), (2, 2, 2, 2, 2), (1, 1, 1, 1, 1), 2),
    (1, (1, 1), (1, 1), (0, 0), 1),
    (2, (4, 2), (3, 4), (0, 1), 4),  # UINT3 and INT4 are both INT4 afterwards
    (1, (5, 3), (2, 6), (1, 0), 7),
]


def sv_array(values: tuple[int, ...]) -> str:
    return "{" + ", ".join(f"32'd{value}" for value in reversed(values)) + "}"


def case(pe: int, channels: tuple[int, ...], widths: tuple[int, ...], signs: tuple[int, ...], out_width: int) -> Case:
    rng = np.random.default_rng([pe, *channels])
    maps = [draw(rng, (PIXELS, c), w, bool(s)) for c, w, s in zip(channels, widths, signs, strict=True)]
    whole = np.concatenate(maps, axis=-1).reshape(-1, pe)
    beats = [c // pe for c in channels]
    cycles = np.arange(len(whole)).reshape(PIXELS, -1)
    turns = np.split(cycles, np.cumsum(beats)[:-1], axis=1)
    return Case(
        parameters={
            "NumInputs": len(channels),
            "PE": pe,
            "Beats": sv_array(tuple(beats)),
            "ElemWidths": sv_array(widths),
            "Signed": f"{len(signs)}'b" + "".join(str(s) for s in reversed(signs)),
            "OutWidth": out_width,
        },
        inputs=[
            Stream(pack(m.reshape(-1, pe), w, rng), t.ravel(), pe * w)
            for m, w, t in zip(maps, widths, turns, strict=True)
        ],
        outputs=[Stream(pack(whole, out_width), cycles.ravel() + 1, pe * out_width)],
        full_at=1,
        slot=pe * out_width,
    )


CASES = [case(*values) for values in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_concatenation(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"NumInputs": 1}, "NumInputs must be at least 2"),
        ({"PE": 0}, "PE must be at least 1"),
        ({"OutWidth": 3}, "OutWidth must hold every value"),
        ({"Signed": "2'b10"}, "OutWidth must hold every value"),
        ({"Beats": "64'h1_0000_0000"}, "at least one beat a pixel"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
