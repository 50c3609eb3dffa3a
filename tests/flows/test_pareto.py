# SPDX-License-Identifier: Apache-2.0
"""The table and picture of frames a second against LUTs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.bench.measure import ROOT
from flows.bench.pareto import BEGIN, END, Point, front, main, measured, published, table
from flows.bench.results import Machine, Result, Results


def result(**figures: Any) -> Result:
    machine = Machine(cpu="any", cores=2, memory_gb=8, load=0)
    return Result(
        date="2026-11-28T10:00Z", version=None, machine=machine, tools={}, conditions="", skipped=None,
        figures=figures, checks=(),
    )  # fmt: skip


RESULTS = Results(
    {
        "resnet20": result(fps=40_000.0, lut=32_000, clock_mhz=100),
        "resnet20_10000": result(fps=10_000.0, lut=16_000, clock_mhz=100),
        "resnet20_max": result(),  # not measured
        "tiny": result(fps=1.0, lut=1, clock_mhz=100),
        "driver": result(),
    }
)


def test_the_rows_are_the_builds_of_one_network() -> None:
    rows = measured(RESULTS, 0.8547)
    assert [(row.fps, row.lut) for row in rows] == [(10_000, 16_000), (40_000, 32_000)]
    assert [line.split(" | ")[3:8] for line in table(rows).splitlines()[2:]] == [
        ["85.47 %", "100", "10,000", "16,000", "625"],
        ["85.47 %", "100", "40,000", "32,000", "1,250"],
    ]


def test_what_nobody_says_is_a_dash() -> None:
    (row,) = [row for row in published(ROOT / "bench" / "published.yaml") if row.fps == 631]
    assert table([row]).splitlines()[2].split(" | ")[3:8] == ["–", "100", "631", "–", "–"]


def test_page_and_picture_are_of_the_results(tmp_path: Path) -> None:
    for name in ("docs/results.md", "bench/published.yaml"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    RESULTS.write(tmp_path / "bench" / "results.json")
    main(tmp_path)
    first = (tmp_path / "docs" / "results.md").read_text(), (tmp_path / "docs" / "pareto.svg").read_bytes()
    assert first[0].split(BEGIN)[1].split(END)[0].count("\n") == 2 + 2 + len(published(ROOT / "bench/published.yaml"))
    main(tmp_path)
    assert first == ((tmp_path / "docs" / "results.md").read_text(), (tmp_path / "docs" / "pareto.svg").read_bytes())


@pytest.mark.parametrize("row", published(ROOT / "bench" / "published.yaml"), ids=lambda row: f"{row.fps:g}")
def test_what_is_published_has_a_source(row: Any) -> None:
    assert row.source
    assert row.where


def test_the_front_is_what_nothing_beats() -> None:
    def point(fps: float, lut: int | None, top1: float | None = None, data: str = "CIFAR-10") -> Point:
        return Point(
            design=f"{fps:g}", device="", bits="", top1=top1, clock_mhz=None, fps=fps, lut=lut, where="", source="",
            data=data,
        )  # fmt: skip

    points = [point(3, 30), point(2, 30), point(1, 10, 0.5), point(1, 20, 0.9), point(9, None), point(1, 99, data="x")]
    assert front(points) == [points[2], points[3], points[0], points[5]]
