# SPDX-License-Identifier: Apache-2.0
"""Units made from their weights against a numpy matrix product, every beat in its cycle."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.ops.xnor_unit import CELLS, Weights, unit
from hw.rtl import sources
from hw.rtlsim.compile import build
from hw.streams.sim import Simulation, StallError
from tests.hw.rtl.popcounts import asked
from tests.hw.rtl.streams import DEFINES, Case, Stream, bench_text, lint, pack, run_free, run_stalled

VECTORS = 24
SOURCES = tuple(dict.fromkeys(file for cell in CELLS for file in sources(cell)))
Draw = Callable[[np.random.Generator, tuple[int, int]], Weights]


def evenly(rng: np.random.Generator, shape: tuple[int, int]) -> Weights:
    return rng.random(shape) < 0.5


def alike(rng: np.random.Generator, shape: tuple[int, int]) -> Weights:
    """Every row is the first, but for a few bits: most classes are empty."""
    return (rng.random((1, shape[1])) < 0.5) ^ (rng.random(shape) < 0.02)


def complements(rng: np.random.Generator, shape: tuple[int, int]) -> Weights:
    """Every second row is the complement of the first, the others are equal to it."""
    return np.logical_xor(rng.random((1, shape[1])) < 0.5, (np.arange(shape[0]) % 2 == 1)[:, None])


def ones(_: np.random.Generator, shape: tuple[int, int]) -> Weights:
    return np.ones(shape, np.bool_)


def zeros(_: np.random.Generator, shape: tuple[int, int]) -> Weights:
    return np.zeros(shape, np.bool_)


@dataclass(frozen=True)
class Unit:
    """Shape and weights of one unit."""

    mw: int
    mh: int
    pe: int
    draw: Draw = evenly
    spare: int = 0  # bits of an output element beyond what is needed

    @property
    def nf(self) -> int:
        return self.mh // self.pe

    @property
    def bits(self) -> int:
        return self.mw.bit_length() + self.spare

    @property
    def weights(self) -> Weights:
        return self.draw(np.random.default_rng([self.mw, self.mh]), (self.mh, self.mw))

    @property
    def latency(self) -> int:
        """Cycles from the read of a word to its output beat: what the unit itself says, and two registers."""
        said = re.findall(
            r"localparam int unsigned (?:Counted|Latency) .*;", unit("u", self.weights, self.pe, self.bits)
        )
        return asked("Latency", " ".join(said)) + 2


UNITS = [
    Unit(144, 16, 16),  # stage 1 of resnet20
    Unit(144, 8, 8, alike),
    Unit(40, 16, 16, complements),
    Unit(30, 5, 5, ones),
    Unit(30, 6, 6, zeros),
    Unit(27, 7, 7, spare=2),
    Unit(9, 4, 4),
    Unit(5, 3, 3, alike),
    Unit(2, 2, 2, complements),
    Unit(1, 1, 1),
    Unit(1, 4, 4),
    Unit(64, 1, 1),
    *(Unit(11 + n, 8, 8) for n in range(3)),
    Unit(288, 32, 4),  # stage 2
    Unit(36, 32, 1),
    Unit(36, 32, 2, alike),
    Unit(37, 12, 4, complements),  # words that are no power of two
    Unit(38, 4, 2, ones, spare=1),
    Unit(3, 6, 2, zeros),
    Unit(2, 3, 1),
    Unit(1, 2, 1),
    Unit(158, 6, 2),
]


def case(number: int) -> Case:
    this = UNITS[number]
    rng = np.random.default_rng(number)
    vectors = rng.integers(0, 2, (VECTORS, this.mw))
    vectors[0], vectors[1] = this.weights[0], ~this.weights[-1]  # the two ends of the range
    counts = (vectors[:, None, :] == this.weights[None]).sum(axis=2)
    read = np.arange(VECTORS * this.nf)
    return Case(
        parameters={},
        inputs=[Stream(pack(vectors, 1, rng), read[this.nf - 1 :: this.nf])],
        outputs=[Stream(pack(counts.reshape(-1, this.pe), this.bits), read + this.latency)],
        full_at=0,
    )


CASES = [case(number) for number in range(len(UNITS))]
NUMBERS = range(len(UNITS))


def write(folder: Path) -> list[Path]:
    """Write the units and a bench of all."""
    text = bench_text("unit", CASES)
    made = [folder / "bench.sv"]
    for number, this in enumerate(UNITS):
        text = text.replace(f" unit #() i_{number} ", f" unit_{number} i_{number} ")
        made.append(folder / f"unit_{number}.sv")
        made[-1].write_text(unit(f"unit_{number}", this.weights, this.pe, this.bits))
    made[0].write_text(text)
    return made


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write(tmp_path_factory.mktemp("units"))
    findings = lint("bench", [*SOURCES, *made])
    assert not findings, findings
    return build("bench", [*SOURCES, *made], defines=DEFINES)


@pytest.fixture
def simulation(library: Path) -> Simulation:
    return Simulation(library)


@pytest.mark.parametrize("number", NUMBERS)
def test_nobody_stalls(simulation: Simulation, number: int) -> None:
    run_free(simulation, CASES, number)


@pytest.mark.parametrize("number", NUMBERS)
def test_random_stalls(simulation: Simulation, number: int) -> None:
    run_stalled(simulation, CASES, number)


@pytest.mark.parametrize("number", NUMBERS)
def test_full_back_pressure_and_a_reset(simulation: Simulation, number: int) -> None:
    """The unit fills up to a known beat; after that its output flows again at full rate, or a reset empties it."""
    nf, (source,), (sink,) = UNITS[number].nf, CASES[number].inputs, CASES[number].outputs
    # The second result finds the output register taken and goes to the other one, in the last cycle that is run.
    held = min(int(sink.cycles[1]) // nf, VECTORS)
    for broken_off in (True, False):
        simulation.reset()
        with pytest.raises(StallError) as stall:
            simulation.run({f"c{number}_in0": source.beats}, {}, idle_limit=200)
        assert stall.value.streams[f"c{number}_in0"].done == held
        if broken_off:
            run_free(simulation, CASES, number)  # which begins with a reset
    result = simulation.run({f"c{number}_in0": source.beats[held:]}, {f"c{number}_out0": len(sink.beats)})
    np.testing.assert_array_equal(result.outputs[f"c{number}_out0"], sink.beats)
    np.testing.assert_array_equal(result.out_cycles[f"c{number}_out0"], np.arange(len(sink.beats)))
    assert simulation.idle(8) == []


@pytest.mark.parametrize(
    ("number", "constant", "wrong"),
    [(0, "~a[", "a["), (UNITS.index(Unit(288, 32, 4)), "^ Odd2[", "~^ Odd2[")],
)
def test_a_wrong_constant_is_seen(number: int, constant: str, wrong: str, tmp_path: Path) -> None:
    this, broken = UNITS[number], tmp_path / "unit.sv"
    text = unit("unit_0", this.weights, this.pe, this.bits)
    assert constant in text
    broken.write_text(text.replace(constant, wrong, 1))
    bench = tmp_path / "bench.sv"
    bench.write_text(bench_text("unit", [CASES[number]]).replace("unit #()", "unit_0"))
    with pytest.raises(AssertionError, match="c0_out0"):
        run_free(Simulation(build("bench", [*SOURCES, broken, bench], defines=DEFINES)), [CASES[number]], 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide MH"),
        ({"AccWidth": 7}, "AccWidth must hold 0 .. MW"),
        ({"Latency": 0}, "Latency must be at least 1"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint("xnor_stream", SOURCES, parameters)


@pytest.mark.parametrize("cell", CELLS)
def test_default_parameters_are_clean(cell: str) -> None:
    assert lint(cell, sources(cell)) == ""
