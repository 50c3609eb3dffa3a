# SPDX-License-Identifier: Apache-2.0
"""label_select against numpy.argmax, which like ONNX TopK names the first of equal values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "label_select"
FRAMES = 60
# Labels, PE, InWidth, Signed, IdxWidth
SETS = [
    (10, 1, 16, 1, 8),
    (10, 2, 2, 1, 4),  # two bits: ties everywhere
    (10, 5, 2, 0, 8),
    (12, 3, 8, 0, 8),
    (10, 10, 8, 1, 12),  # a frame a beat
    (7, 7, 1, 0, 3),
    (1000, 4, 12, 1, 16),
    (1, 1, 4, 1, 8),
]


def case(labels: int, pe: int, in_width: int, signed: int, idx_width: int) -> Case:
    rng = np.random.default_rng([labels, pe, in_width])
    values = draw(rng, (FRAMES, labels), in_width, bool(signed))
    values[0] = -(1 << (in_width - 1)) if signed else 0  # every value the least one
    values[1] = (1 << (in_width - signed)) - 1
    folds = labels // pe
    cycles = np.arange(FRAMES * folds)
    return Case(
        parameters={
            "Labels": labels,
            "PE": pe,
            "InWidth": in_width,
            "Signed": signed,
            "IdxWidth": idx_width,
        },
        inputs=[Stream(pack(values.reshape(-1, pe), in_width, rng), cycles)],
        outputs=[Stream(pack(values.argmax(axis=1)[:, None], idx_width), cycles[folds - 1 :: folds] + 1)],
        full_at=2 * folds - 1,
    )


CASES = [case(*values) for values in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_argmax(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Labels": 0}, "must be at least 1"),
        ({"PE": 3}, "PE must divide Labels"),
        ({"PE": 0}, "PE must divide Labels"),
        ({"IdxWidth": 3}, "IdxWidth must hold every index"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
