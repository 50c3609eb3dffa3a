# SPDX-License-Identifier: Apache-2.0
"""xnor_mvu_axi against a numpy matrix product, every beat in its cycle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.rtlsim.compile import build
from hw.streams.sim import Simulation, StallError
from tests.hw.rtl.popcounts import xnor_latency
from tests.hw.rtl.streams import DEFINES, Case, Ints, Stream, bench_text, lint, pack, run_free, run_stalled, sources

CELL = "xnor_mvu_axi"
SOURCES = sources(CELL)
VECTORS = 12


@dataclass(frozen=True)
class Fold:
    """Shape and folding of one unit."""

    mw: int
    mh: int
    pe: int
    simd: int
    spare: int = 0  # bits of AccWidth beyond what is needed
    ram: str = "auto"
    ternary: bool = False

    @property
    def planes(self) -> int:
        """Positions of an element, and the bits in which it comes."""
        return 1 + self.ternary

    @property
    def sf(self) -> int:
        return self.mw // self.simd

    @property
    def nf(self) -> int:
        return self.mh // self.pe

    @property
    def acc_width(self) -> int:
        return (self.planes * self.mw).bit_length() + self.spare

    @property
    def pipeline(self) -> int:
        """Cycles from the read of a neuron's last beat to its output beat."""
        return xnor_latency(self.planes * self.simd) + 2 + (self.sf > 1)

    @property
    def first_read(self) -> int:
        """Cycle in which the first beat is read: it is stored first, where vectors are stored."""
        return int(self.stored)

    @property
    def stored(self) -> bool:
        """Whether vectors are stored; one that is a single beat is held by its sender."""
        return self.nf > 1 and self.sf > 1


FOLDS = [
    Fold(144, 16, 8, 16, ram="block"),  # the folds of ResNet-20
    Fold(288, 32, 4, 32),
    Fold(576, 64, 2, 64),
    Fold(27, 6, 3, 27),  # SF = 1
    Fold(40, 5, 5, 8),  # NF = 1
    Fold(12, 4, 4, 12),  # both
    Fold(1, 1, 1, 1),
    Fold(1, 3, 1, 1),
    Fold(5, 4, 2, 1),
    Fold(6, 3, 1, 2, ram="distributed"),
    Fold(9, 2, 1, 3),
    Fold(10, 4, 2, 5, spare=3),  # SF = 2, words of ten bits
    Fold(40, 3, 1, 40),  # one chain with a cut
    Fold(158, 4, 2, 79),  # two chains
    Fold(310, 2, 2, 155),  # four chains
    Fold(144, 2, 1, 144),
    Fold(120, 2, 1, 3),  # a store of more than 32 words
    Fold(784, 32, 4, 49, ternary=True, ram="block"),
    Fold(27, 6, 3, 27, ternary=True),  # SF = 1
    Fold(40, 5, 5, 8, ternary=True, spare=2),  # NF = 1
    Fold(1, 3, 1, 1, ternary=True),
    Fold(10, 4, 2, 5, ternary=True, spare=3),
    Fold(6, 3, 1, 2, ternary=True, ram="distributed"),
]


def weights_of(fold: Fold) -> Ints:
    """Weights (MH, MW), 0 or 1."""
    return np.random.default_rng([fold.mw, fold.mh]).integers(0, 2, (fold.mh, fold.mw))


def rom_lines(fold: Fold) -> str:
    """The weights as InitFile wants them."""
    words = weights_of(fold).reshape(fold.nf, fold.pe, fold.sf, fold.simd).transpose(0, 2, 1, 3)
    digits = -(-fold.pe * fold.simd // 4)
    rows = pack(words.reshape(-1, fold.pe * fold.simd), 1)
    return "".join(f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}\n" for row in rows)


def case(number: int, fold: Fold) -> Case:
    rng = np.random.default_rng(number)
    weights = weights_of(fold)
    if fold.ternary:
        weights = 2 * weights - 1
        vectors = rng.integers(-1, 2, (VECTORS, fold.mw))
        vectors[0], vectors[1] = weights[0], -weights[-1]  # the two ends of the range
        counts = vectors @ weights.T
    else:
        vectors = rng.integers(0, 2, (VECTORS, fold.mw))
        vectors[0], vectors[1] = weights[0], 1 - weights[-1]
        counts = (vectors[:, None, :] == weights[None]).sum(axis=2)

    depth = fold.sf * fold.nf
    start = fold.first_read + depth * np.arange(VECTORS)  # of each vector's reads
    # The store has room for two vectors: a third comes in when the first has been read for the last time.
    accepted = np.concatenate([[0, fold.sf], start[1:-1]]) if fold.stored else start + fold.nf - 1
    last_read = start[:, None] + fold.sf * np.arange(1, fold.nf + 1) - 1
    return Case(
        parameters={
            "MW": fold.mw,
            "MH": fold.mh,
            "PE": fold.pe,
            "SIMD": fold.simd,
            "Ternary": int(fold.ternary),
            "AccWidth": fold.acc_width,
            "InitFile": f'"weights_{number}.hex"',
            "RamStyle": f'"{fold.ram}"',
        },
        inputs=[Stream(pack(vectors.reshape(-1, fold.simd), fold.planes, rng), _each_cycle(accepted, fold.sf))],
        outputs=[Stream(pack(counts.reshape(-1, fold.pe), fold.acc_width), last_read.reshape(-1) + fold.pipeline)],
        full_at=0,
    )


def _each_cycle(starts: Ints, count: int) -> Ints:
    return (starts[:, None] + np.arange(count)).reshape(-1)


CASES = [case(number, fold) for number, fold in enumerate(FOLDS)]


@pytest.fixture(scope="module")
def weight_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(CELL)
    for number, fold in enumerate(FOLDS):
        (folder / f"weights_{number}.hex").write_text(rom_lines(fold))
    return folder


@pytest.fixture(scope="module")
def library(weight_folder: Path) -> Path:
    """The bench. It names the weight files without a folder, so that the compile cache finds it again."""
    bench = weight_folder / "bench.sv"
    bench.write_text(bench_text(CELL, CASES))
    findings = lint("bench", [*SOURCES, bench])
    assert not findings, findings
    return build("bench", [*SOURCES, bench], defines=DEFINES)


@pytest.fixture
def simulation(library: Path, weight_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    monkeypatch.chdir(weight_folder)
    return Simulation(library)


@pytest.mark.parametrize("number", range(len(FOLDS)))
def test_nobody_stalls(simulation: Simulation, number: int) -> None:
    run_free(simulation, CASES, number)


@pytest.mark.parametrize("number", range(len(FOLDS)))
def test_random_stalls(simulation: Simulation, number: int) -> None:
    run_stalled(simulation, CASES, number)


@pytest.mark.parametrize("number", range(len(FOLDS)))
def test_full_back_pressure(simulation: Simulation, number: int) -> None:
    """The unit fills up to a known beat, and after that its output flows again at full rate."""
    fold, (source,), (sink,) = FOLDS[number], CASES[number].inputs, CASES[number].outputs
    held = _held(fold, sink.cycles)
    simulation.reset()
    with pytest.raises(StallError) as stall:
        simulation.run({f"c{number}_in0": source.beats}, {}, idle_limit=2000)
    assert stall.value.streams[f"c{number}_in0"].done == held

    result = simulation.run({f"c{number}_in0": source.beats[held:]}, {f"c{number}_out0": len(sink.beats)})
    np.testing.assert_array_equal(result.outputs[f"c{number}_out0"], sink.beats)
    beat = np.arange(len(sink.beats))
    # The pipeline starts again a cycle after the output register is free; the second result stood before it.
    resumed = beat if fold.sf == 1 else np.where(beat == 0, 0, 2 + (beat - 1) * fold.sf)
    np.testing.assert_array_equal(result.out_cycles[f"c{number}_out0"], resumed)
    assert simulation.idle(8) == []


def _held(fold: Fold, out_cycles: Ints) -> int:
    """Input beats taken when no output ever is."""
    # The second result finds the output register taken: in the cycle before it would be seen, nothing moves
    # any more. Where results come every cycle, it goes to the skid register, and one more cycle is run.
    frozen = int(out_cycles[1]) - (fold.sf > 1)
    reads = frozen - fold.first_read
    if not fold.stored:
        return min(reads // fold.nf, VECTORS * fold.sf)
    replayed = reads // (fold.sf * fold.nf)
    return min(replayed + 2, VECTORS) * fold.sf


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide MH"),
        ({"PE": 128}, "PE must divide MH"),
        ({"SIMD": 7}, "SIMD must divide MW"),
        ({"MW": 0, "AccWidth": 1}, "SIMD must divide MW"),
        ({"AccWidth": 9}, "AccWidth must hold 0 .. MW"),
        ({"RamStyle": '"ultra"'}, "RamStyle must be"),
        ({"InitFile": '""'}, "InitFile must name"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, SOURCES, {"InitFile": '"weights.hex"'} | parameters)


def test_default_parameters_are_clean() -> None:
    assert lint(CELL, SOURCES, {"InitFile": '"weights.hex"'}) == ""


@pytest.mark.parametrize("number", [1, next(number for number, fold in enumerate(FOLDS) if fold.ternary)])
def test_a_flipped_weight_bit_is_seen(
    library: Path, weight_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The comparison above can fail: one wrong bit among 9,216 is enough."""
    for file in weight_folder.glob("*.hex"):
        shutil.copy(file, tmp_path)
    rom = tmp_path / f"weights_{number}.hex"
    words = rom.read_text().splitlines()
    words[40] = f"{int(words[40], 16) ^ (1 << 77):0{len(words[40])}x}"
    rom.write_text("\n".join(words) + "\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=f"c{number}_out0"):
        run_free(Simulation(library), CASES, number)
