# SPDX-License-Identifier: Apache-2.0
"""folded_window against numpy's sliding windows, every beat in its cycle, frames without a gap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation, StallError
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, draw, lint, pack, sources
from tests.hw.rtl.test_binary_window import Shape, windows

CELL = "folded_window"
FRAMES = 3
LATENCY = 3
BITS = 4


@dataclass(frozen=True)
class Folded:
    """Windows, and how many beats a pixel and the ring have."""

    shape: Shape
    pe: int
    depth: int
    style: str = "auto"
    keeps_up: bool = True

    @property
    def folds(self) -> int:
        return self.shape.channels // self.pe

    @property
    def taps(self) -> int:
        return self.shape.kernel**2

    def needed(self, number: int) -> int:
        """Beats, of all frames, up to the last one of a window, of all frames."""
        shape = self.shape
        frame, place = divmod(number, shape.out_height * shape.out_width)
        ends = (n * shape.stride + shape.kernel - shape.padding for n in divmod(place, shape.out_width))
        row, col = (min(end, size) for end, size in zip(ends, (shape.height, shape.width), strict=True))
        return ((frame * shape.height + row - 1) * shape.width + col) * self.folds

    def passed(self, number: int) -> int:
        """Beats before the first that the windows read from this one's row on."""
        shape = self.shape
        frame, row = divmod(number // shape.out_width, shape.out_height)
        first = min(max(row * shape.stride - shape.padding, 0), shape.height)
        return (frame * shape.height + first) * shape.width * self.folds

    def traffic(self) -> tuple[list[int], list[int]]:
        """Cycles in which beats go in and out."""
        inputs = FRAMES * self.shape.height * self.shape.width * self.folds
        outputs = FRAMES * self.shape.out_height * self.shape.out_width * self.folds * self.taps
        taken: list[int] = []
        given: list[int] = []
        cycle = window = 0
        while len(taken) < inputs or len(given) < outputs:
            passed = self.passed(window)  # of the cycle before
            window = len(given) // (self.folds * self.taps)
            here = len(taken) >= self.needed(window)
            if len(taken) < min(inputs, passed + self.depth):
                taken.append(cycle)
            if here and len(given) < outputs:
                given.append(cycle + LATENCY - 1)
            cycle += 1
        return taken, given


SHAPES = [
    Folded(Shape(5, 4, 4), 2, 32, "distributed"),
    Folded(Shape(8, 8, 16), 4, 128, "block"),  # of resnet20
    Folded(Shape(8, 8, 3), 1, 128),
    Folded(Shape(6, 5, 2), 2, 32),
    Folded(Shape(4, 4, 3, stride=2), 1, 64),  # nothing is read below or on the right
    Folded(Shape(7, 5, 2, stride=2), 1, 64),
    Folded(Shape(5, 6, 2, padding=0, after=0), 1, 128),
    Folded(Shape(5, 6, 2, kernel=5, padding=2, after=2), 2, 64),
    Folded(Shape(4, 5, 4, kernel=2, padding=1, after=0), 2, 32),
    Folded(Shape(7, 7, 2, stride=3), 2, 32),
    Folded(Shape(8, 8, 2, kernel=2, padding=0, stride=5, after=0), 2, 64, keeps_up=False),  # pixels that none reads
]


def case(number: int, folded: Folded) -> Case:
    rng = np.random.default_rng(number)
    shape = folded.shape
    pictures = draw(rng, (FRAMES, shape.height, shape.width, shape.channels), BITS, signed=False)
    taps = windows(shape, pictures).reshape(-1, folded.taps, folded.folds, folded.pe)
    taken, given = folded.traffic()
    names = ("Height", "Width", "Channels", "Kernel", "Padding", "Stride", "OutHeight", "OutWidth", "PE", "InWidth")
    sizes = (shape.height, shape.width, shape.channels, shape.kernel, shape.padding, shape.stride)
    parameters = dict(zip(names, (*sizes, shape.out_height, shape.out_width, folded.pe, BITS), strict=True))
    return Case(
        parameters={**parameters, "RamStyle": f'"{folded.style}"'},
        inputs=[Stream(pack(pictures.reshape(-1, folded.pe), BITS, rng), np.array(taken))],
        outputs=[Stream(pack(taps.swapaxes(1, 2).reshape(-1, folded.pe), BITS), np.array(given))],
        full_at=0,  # input goes on until the ring is full
    )


CASES = [case(number, folded) for number, folded in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", ["free", "stalled"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_windows(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_frames_follow_without_a_gap(number: int) -> None:
    folded = SHAPES[number]
    _, given = folded.traffic()
    frame = len(given) // FRAMES
    assert (given[-1] - given[-1 - frame] == frame) == folded.keeps_up


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_blocked_output_fills_the_ring(library: Path, number: int) -> None:
    simulation, folded, (source,), (sink,) = Simulation(library), SHAPES[number], *_streams(number)
    simulation.reset()
    with pytest.raises(StallError) as stall:
        simulation.run({f"c{number}_in0": source.beats}, {}, idle_limit=100)
    assert stall.value.streams[f"c{number}_in0"].done == min(folded.depth, len(source.beats))
    rest = simulation.run({f"c{number}_in0": source.beats[folded.depth :]}, {f"c{number}_out0": len(sink.beats)})
    np.testing.assert_array_equal(rest.outputs[f"c{number}_out0"], sink.beats)
    assert simulation.idle(8) == []


def _streams(number: int) -> tuple[list[Stream], list[Stream]]:
    return list(CASES[number].inputs), list(CASES[number].outputs)


def test_a_reset_in_the_middle_of_a_frame(library: Path) -> None:
    simulation = Simulation(library)
    simulation.reset()
    simulation.run({"c0_in0": CASES[0].inputs[0].beats[:29]}, {"c0_out0": 40})
    PATTERNS["free"](simulation, CASES, 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"PE": 3}, "PE must divide Channels"),
        ({"Kernel": 1}, "Kernel must be at least 2"),
        ({"Padding": 3}, "and Padding less"),
        ({"OutWidth": 0}, "must be at least 1"),
        ({"RamStyle": '"ultra"'}, "auto, block or distributed"),
    ],
)
def test_bad_parameters(parameters: dict[str, int | str], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
