# SPDX-License-Identifier: Apache-2.0
"""stream_fifo in each form: what went in comes out, and Depth beats wait in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation, StallError
from tests.hw.rtl.streams import Case, Stream, compile_bench, draw, lint, pack, run_free, run_stalled, sources

CELL = "stream_fifo"
# bits of a beat, beats, form
SETS = [
    (8, 1, "registers"),
    (37, 3, "registers"),
    (5, 3, "srl"),
    (16, 17, "srl"),
    (9, 97, "srl"),  # not a power of two
    (4, 193, "srl"),
    (8, 4, "block"),  # pointers of two bits with feedback, and their longest below
    (3, 5, "block"),  # counters
    (16, 128, "block"),
    (1, 300, "block"),
    *[(2, 2**bits, "block") for bits in range(3, 12) if bits != 7],
]
LATENCY = {"srl": 2, "block": 3}


def case(width: int, depth: int, style: str) -> Case:
    rng = np.random.default_rng([width, depth])
    values = draw(rng, (2 * depth + 50, 1), width, signed=False)
    cycle = np.arange(len(values))
    return Case(
        parameters={"Width": width, "Depth": depth, "RamStyle": f'"{style}"'},
        inputs=[Stream(pack(values, width, rng), cycle)],
        outputs=[Stream(pack(values, width), cycle + LATENCY.get(style, depth))],
        full_at=depth,
    )


CASES = [case(*numbers) for numbers in SETS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_beat_a_cycle(library: Path, number: int) -> None:
    run_free(Simulation(library), CASES, number)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_stalls(library: Path, number: int) -> None:
    run_stalled(Simulation(library), CASES, number)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_full_queue(library: Path, number: int) -> None:
    """It holds Depth beats, and then gives one a cycle without a bubble; a reset empties it."""
    depth, name_in, name_out = SETS[number][1], f"c{number}_in0", f"c{number}_out0"
    given, expected = CASES[number].inputs[0].beats, CASES[number].outputs[0].beats
    simulation = Simulation(library)

    def fill() -> None:
        simulation.reset()
        with pytest.raises(StallError) as stall:
            simulation.run({name_in: given[: depth + 1]}, {}, idle_limit=100)
        assert stall.value.streams[name_in].done == depth

    fill()
    result = simulation.run({name_in: given[depth:]}, {name_out: len(given)})
    np.testing.assert_array_equal(result.outputs[name_out], expected)
    np.testing.assert_array_equal(result.out_cycles[name_out], np.arange(len(given)))
    assert simulation.idle(8) == []
    fill()
    run_free(simulation, CASES, number)  # which begins with a reset


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Width": 0}, "Width must be at least 1"),
        ({"Depth": 2}, "3 in srl"),
        ({"Depth": 3, "RamStyle": '"block"'}, "4 in block"),
        ({"RamStyle": '"auto"'}, "RamStyle must be"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
