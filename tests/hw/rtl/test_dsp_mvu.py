# SPDX-License-Identifier: Apache-2.0
"""dsp_mvu against numpy's matrix product, every beat in its cycle, up to the ends of what fits its fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.ops.dsp_mvau import chains_of
from hw.ops.wrapper import packed
from hw.rtl import sources
from hw.rtlsim.compile import build
from hw.streams.sim import Simulation
from tests.hw.rtl.streams import (
    DEFINES,
    PATTERNS,
    RTL,
    Case,
    Stream,
    bench_text,
    compile_bench,
    draw,
    lint,
    pack,
)

CELL = "dsp_mvu"
VECTORS = 24


@dataclass(frozen=True)
class Shape:
    """One parameter set; ``largest`` is that of the weights, ``chains`` what they need if not more are asked for."""

    mw: int
    mh: int
    pe: int
    bits: int = 8
    signed: bool = False
    largest: int = 127
    extreme: bool = False  # no weights but the two largest
    least: int = 1

    @property
    def nf(self) -> int:
        return self.mh // self.pe


SHAPES = [
    Shape(27, 16, 8),  # the stem of ResNet-20, two folds
    Shape(27, 4, 4, largest=60),  # one fold
    Shape(9, 8, 2),  # the stem of tiny
    Shape(27, 3, 1, extreme=True),  # a weight a block: one chain, no field to keep to
    Shape(5, 6, 3, bits=4, signed=True, largest=7),  # an odd lane has a block of its own
    Shape(8, 4, 2, extreme=True),  # four of 127 fill a field but for a little
    Shape(16, 4, 4, bits=9, signed=True, extreme=True),
    Shape(1, 2, 2),
    Shape(6, 4, 2, bits=1, largest=1),
    Shape(7, 5, 5, bits=8, signed=True, least=3),  # chains of unequal lengths
    Shape(3, 2, 2, bits=16, largest=1, least=3),  # each block a chain
]


def weights_of(number: int) -> np.ndarray:
    """(MW, MH)."""
    shape = SHAPES[number]
    rng = np.random.default_rng([11, number])
    choice = [-shape.largest, shape.largest] if shape.extreme else np.arange(-shape.largest, shape.largest + 1)
    return rng.choice(choice, (shape.mw, shape.mh))


def vectors_of(number: int) -> np.ndarray:
    """Inputs, among them for some neurons those that give the largest and the smallest sum."""
    shape = SHAPES[number]
    rng = np.random.default_rng([12, number])
    vectors = draw(rng, (VECTORS, shape.mw), shape.bits, shape.signed)
    lowest = -(1 << (shape.bits - 1)) if shape.signed else 0
    highest = lowest + (1 << shape.bits) - 1
    for vector in range(0, VECTORS - 2, 2):
        positive = weights_of(number)[:, vector // 2 % shape.mh] > 0
        vectors[vector] = np.where(positive, highest, lowest)
        vectors[vector + 1] = np.where(positive, lowest, highest)
    return vectors


def case(number: int, shape: Shape) -> Case:
    weights, vectors = weights_of(number), vectors_of(number)
    rng = np.random.default_rng(number)
    chains = chains_of(weights, shape.pe, shape.bits, least=shape.least)
    order = [k for chain in chains for k in chain]
    sums = vectors @ weights
    reach = np.abs(weights).sum(0).max() << shape.bits
    width = min(int(reach).bit_length() + 1, 31)
    latency = -(-shape.mw // len(chains)) + len(chains) + 2
    cycle = np.arange(VECTORS) * shape.nf
    return Case(
        parameters={
            "MW": shape.mw,
            "MH": shape.mh,
            "PE": shape.pe,
            "InWidth": shape.bits,
            "InSigned": f"1'b{int(shape.signed)}",
            "WeightWidth": 8,
            "AccWidth": width,
            "Chains": len(chains),
            "Order": packed(order, 16),
            "Weights": packed(weights.T.ravel().tolist(), 8),
        },
        inputs=[Stream(pack(vectors, shape.bits, rng), cycle + shape.nf - 1)],
        outputs=[Stream(pack(sums.reshape(-1, shape.pe), width), np.arange(VECTORS * shape.nf) + latency)],
        full_at=latency,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_products(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_a_reset_in_the_middle_of_a_vector(library: Path) -> None:
    simulation = Simulation(library)
    simulation.reset()
    simulation.run({"c0_in0": CASES[0].inputs[0].beats[:3]}, {"c0_out0": 5})
    PATTERNS["free"](simulation, CASES, 0)


def test_fields_are_filled() -> None:
    """Else a field that is too narrow would not be seen."""
    for number in (0, 5):
        shape, weights = SHAPES[number], weights_of(number)
        chains = chains_of(weights, shape.pe, shape.bits)
        reach = max(np.abs(weights[chain, h]).sum() for chain in chains for h in range(1, shape.mh, 2)) * 255
        assert 2**17 * 0.9 < reach < 2**17
    assert len(chains_of(weights_of(0), 8, 8)) == 5


def test_a_low_sum_that_leaves_its_field_is_seen(tmp_path: Path) -> None:
    """A chain that starts from the middle also where its weights are mostly of one sign borrows from the high lane."""
    number = 5
    old = "return (low > Middle) ? low : (high < Middle) ? high : Middle;"
    text = (RTL / f"{CELL}.sv").read_text()
    assert text.count(old) == 1
    changed, bench = tmp_path / f"{CELL}.sv", tmp_path / "bench.sv"
    changed.write_text(text.replace(old, "return (low > high) ? low : Middle;"))
    bench.write_text(bench_text(CELL, [CASES[number]]))
    planted = Simulation(build("bench", [*sources(CELL)[:-1], changed, bench], defines=DEFINES))
    with pytest.raises(AssertionError, match="c0_out0"):
        PATTERNS["free"](planted, [CASES[number]], 0)


def test_no_more_chains_than_the_low_sums_need() -> None:
    weights = np.full((8, 2), 127)
    assert sorted(k for chain in chains_of(weights, 2, 8) for k in chain) == list(range(8))
    assert [len(chain) for chain in chains_of(weights, 2, 8)] == [4, 4]
    assert len(chains_of(weights, 1, 8)) == 1
    weights[:, 1] = 0  # the low one of the pair
    assert len(chains_of(weights, 2, 8)) == 1


WIDE = {"MW": 5, "Order": "80'h00040003000200010000", "AccWidth": 20}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide MH"),
        ({"Chains": 3}, "Chains must be 1 .. MW"),
        ({"WeightWidth": 9}, "WeightWidth 1 .. 8"),
        ({"AccWidth": 32}, "AccWidth must be at most 31"),
        ({"Weights": "32'h7f7f7f7f", "AccWidth": 16}, "AccWidth must hold every sum"),
        ({**WIDE, "Weights": packed([127] * 10, 8)}, "more Chains are needed"),
        ({"Weights": packed([-128, 0, -1, 0], 8)}, "must not be the most negative"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
