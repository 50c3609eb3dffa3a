# SPDX-License-Identifier: Apache-2.0
"""subsample against a numpy slice, every beat in its cycle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources

CELL = "subsample"
FRAMES = 2
# PE, Width, Channels, (Rows, Cols), (StrideHeight, StrideWidth)
SETS = [
    (8, 4, 16, (8, 8), (2, 2)),  # the shortcut of a down-sampling block
    (1, 3, 2, (5, 7), (2, 2)),  # rows and columns end with one that is kept
    (2, 5, 6, (6, 4), (3, 1)),
    (4, 2, 4, (7, 5), (3, 2)),
    (1, 1, 1, (4, 9), (1, 4)),
    (3, 4, 3, (1, 1), (2, 2)),
]


def case(pe: int, width: int, channels: int, size: tuple[int, int], stride: tuple[int, int]) -> Case:
    rng = np.random.default_rng([pe, width, channels])
    values = draw(rng, (FRAMES, *size, channels // pe, pe), width, signed=True)
    cycles = np.arange(values[..., 0].size).reshape(values.shape[:-1])
    kept = np.s_[:, :: stride[0], :: stride[1]]
    return Case(
        parameters={
            "PE": pe,
            "Width": width,
            "Channels": channels,
            "Rows": size[0],
            "Cols": size[1],
            "StrideHeight": stride[0],
            "StrideWidth": stride[1],
        },
        inputs=[Stream(pack(values.reshape(-1, pe), width, rng), cycles.ravel())],
        outputs=[Stream(pack(values[kept].reshape(-1, pe), width), cycles[kept].ravel() + 1)],
        # A beat is held; what is left out is still taken, up to the next that is kept.
        full_at=int(cycles[kept].ravel()[1]),
    )


CASES = [case(*values) for values in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_pixels_left_out(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_a_reset_in_the_middle_of_a_picture(library: Path) -> None:
    simulation = Simulation(library)
    simulation.reset()
    simulation.run({"c1_in0": CASES[1].inputs[0].beats[:3]}, {"c1_out0": 2})
    PATTERNS["free"](simulation, CASES, 1)


@pytest.mark.parametrize(
    ("parameters", "message"), [({"PE": 3}, "PE must divide Channels"), ({"StrideWidth": 0}, "must be at least 1")]
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
