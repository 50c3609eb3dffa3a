# SPDX-License-Identifier: Apache-2.0
"""binary_window against numpy's sliding windows, every beat in its cycle, frames without a gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hw.streams.sim import Simulation
from tests.hw.rtl.streams import PATTERNS, Case, Stream, compile_bench, lint, pack, sources

CELL = "binary_window"
FRAMES = 3
LATENCY = 2


@dataclass(frozen=True)
class Shape:
    """A picture and its windows; ``after`` is the padding below and on the right."""

    height: int
    width: int
    channels: int
    kernel: int = 3
    padding: int = 1
    stride: int = 1
    after: int = 1

    @property
    def out_height(self) -> int:
        return (self.height + self.padding + self.after - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width + self.padding + self.after - self.kernel) // self.stride + 1

    @property
    def first(self) -> int:
        """Row and column with which the first window is whole."""
        return self.kernel - 1 - self.padding

    @property
    def cols(self) -> int:
        return max(self.width, self.first + (self.out_width - 1) * self.stride + 1)

    @property
    def rows(self) -> int:
        return max(self.height, self.first + (self.out_height - 1) * self.stride + 1)

    @property
    def overlaps(self) -> bool:
        return self.rows == self.height + 1 and self.first > 0


SHAPES = [
    Shape(6, 5, 16),
    Shape(4, 4, 3, stride=2),  # nothing is read below or on the right
    Shape(7, 5, 9, stride=2),  # odd: one row and column are
    Shape(5, 8, 1, padding=0, after=0),
    Shape(5, 6, 2, kernel=5, padding=2, after=2),  # two rows below
    Shape(4, 5, 4, kernel=2, padding=1, after=0),  # the first pixel makes a window
    Shape(4, 5, 4, kernel=2, padding=0, after=1),
    Shape(7, 7, 2, kernel=3, padding=1, stride=3),
    Shape(1, 2, 8),  # rows of which no window is without padding
    Shape(8, 8, 5, kernel=4, padding=1, stride=4, after=1),  # columns that no window reads
]


def steps(shape: Shape) -> Iterator[tuple[int, int, int]]:
    """Frame, row and column of each step while nobody waits; row and column of the padding too."""
    for frame in range(FRAMES):
        first = 1 if shape.overlaps and frame > 0 else 0  # the row before was taken in early
        yield from ((frame, row, col) for row in range(first, shape.rows) for col in range(shape.cols))


def traffic(shape: Shape) -> tuple[list[int], list[int]]:
    """Cycles in which pixels go in and windows come out."""
    taken, given = [], []
    for cycle, (frame, row, col) in enumerate(steps(shape)):
        early = shape.overlaps and row == shape.height and frame + 1 < FRAMES
        if col < shape.width and (row < shape.height or early):
            taken.append(cycle)
        if all(n >= shape.first and (n - shape.first) % shape.stride == 0 for n in (row, col)):
            given.append(cycle + LATENCY)
    return taken, given


def windows(shape: Shape, pictures: np.ndarray) -> np.ndarray:
    """(windows of all frames, bits)."""
    around = (shape.padding, shape.after)
    padded = np.pad(pictures, ((0, 0), around, around, (0, 0)))
    size = (shape.kernel, shape.kernel)
    views = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))[:, :: shape.stride, :: shape.stride]
    return views.transpose(0, 1, 2, 4, 5, 3).reshape(-1, shape.kernel**2 * shape.channels)


def case(number: int, shape: Shape) -> Case:
    rng = np.random.default_rng(number)
    pictures = rng.integers(0, 2, (FRAMES, shape.height, shape.width, shape.channels))
    taken, given = traffic(shape)
    names = ("Height", "Width", "Channels", "Kernel", "Padding", "Stride", "OutHeight", "OutWidth")
    sizes = (shape.height, shape.width, shape.channels, shape.kernel, shape.padding, shape.stride)
    return Case(
        parameters=dict(zip(names, (*sizes, shape.out_height, shape.out_width), strict=True)),
        inputs=[Stream(pack(pictures.reshape(-1, shape.channels), 1, rng), np.array(taken))],
        outputs=[Stream(pack(windows(shape, pictures), 1), np.array(given))],
        # One window is offered and one is made: the step that makes the second is the last.
        full_at=given[1] - LATENCY + 1,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_bench(CELL, CASES, tmp_path_factory.mktemp(CELL))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_windows(library: Path, number: int, pattern: str) -> None:
    PATTERNS[pattern](Simulation(library), CASES, number)


def test_frames_overlap_where_they_can() -> None:
    assert [shape.overlaps for shape in SHAPES[:4]] == [True, False, True, False]
    taken, _ = traffic(SHAPES[0])
    pixels = SHAPES[0].height * SHAPES[0].width
    assert len(taken) == FRAMES * pixels
    assert taken[pixels] - taken[pixels - 1] == 2  # the last column's padding lies between


def test_a_reset_in_the_middle_of_a_frame(library: Path) -> None:
    simulation = Simulation(library)
    simulation.reset()
    simulation.run({"c0_in0": CASES[0].inputs[0].beats[:17]}, {"c0_out0": 9})
    PATTERNS["free"](simulation, CASES, 0)


@pytest.mark.parametrize("late", [0, 3, 5])
def test_a_late_next_frame_loses_nothing(library: Path, late: int) -> None:
    """The first row of the next frame comes in part, or not at all, while the row below is made."""
    shape, case = SHAPES[0], CASES[0]
    simulation = Simulation(library)
    simulation.reset()
    pixels, count = shape.height * shape.width, shape.out_height * shape.out_width
    (source,), (sink,) = case.inputs, case.outputs
    first = simulation.run({"c0_in0": source.beats[: pixels + late]}, {"c0_out0": count})
    rest = simulation.run({"c0_in0": source.beats[pixels + late :]}, {"c0_out0": 2 * count})
    both = np.concatenate([first.outputs["c0_out0"], rest.outputs["c0_out0"]])
    np.testing.assert_array_equal(both, sink.beats)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Channels": 0}, "must be at least 1"),
        ({"Kernel": 1}, "Kernel must be at least 2"),
        ({"Padding": 3}, "and Padding less"),
        ({"Width": 1}, "Width 2"),
    ],
)
def test_bad_parameters(parameters: dict[str, int], message: str) -> None:
    assert message in lint(CELL, sources(CELL), parameters)
