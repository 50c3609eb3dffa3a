# SPDX-License-Identifier: Apache-2.0
"""width_converter against a reshape: the same bits in beats of another width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "width_converter"
WORDS = 20
# bits of an input beat, of an output beat
SETS = [(4, 36), (1, 16), (2, 4), (3, 15), (8, 64), (36, 9), (64, 8), (152, 19), (4, 2), (27, 1)]


def case(in_width: int, out_width: int) -> Case:
    narrow, wide = sorted((in_width, out_width))
    ratio = wide // narrow
    rng = np.random.default_rng([in_width, out_width])
    values = draw(rng, (WORDS, ratio), narrow, signed=False)
    beats = np.arange(WORDS * ratio)
    words = beats[::ratio]
    if out_width > in_width:
        inputs = Stream(pack(values.reshape(-1, 1), narrow, rng), beats)
        outputs = Stream(pack(values, narrow), words + ratio)
    else:
        inputs = Stream(pack(values, narrow, rng), words)
        outputs = Stream(pack(values.reshape(-1, 1), narrow), beats + 2)
    full_at = ratio if out_width > in_width else 2
    return Case({"InWidth": in_width, "OutWidth": out_width}, [inputs], [outputs], full_at)


CASES = [case(*widths) for widths in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_conversion(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize("widths", [(8, 12), (8, 8), (0, 8)])
def test_bad_parameters(widths: tuple[int, int]) -> None:
    parameters = dict(zip(("InWidth", "OutWidth"), widths, strict=True))
    assert "one width must be a multiple of the other" in lint(CELL, sources(CELL), parameters)
