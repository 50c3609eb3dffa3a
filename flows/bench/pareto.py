# SPDX-License-Identifier: Apache-2.0
"""Frames a second against LUTs: the benches of one network beside what others published, as a table and a picture.

`python -m flows.bench.pareto` writes both into docs/ from bench/results.json and bench/published.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import yaml
from matplotlib import rc_context
from matplotlib.figure import Figure
from pydantic import TypeAdapter

from flows.bench.measure import ROOT
from flows.bench.results import Results
from flows.report.summary import Strict

NETWORK = "resnet20"
BEGIN, END = "<!-- table of python -m flows.bench.pareto -->\n", "<!-- end -->\n"


class Point(Strict):
    """An accelerator; None where nobody says."""

    design: str
    device: str
    bits: str
    """Of weights × activations, in most of the layers."""
    top1: float | None
    clock_mhz: float | None
    fps: float
    lut: int | None
    where: str
    """On what the frames a second were measured."""
    source: str
    data: str = "CIFAR-10"
    """What it classifies; only accelerators for the same compete."""

    def beats(self, other: Point) -> bool:
        """Whether it is worse in nothing, of frames a second, LUTs and accuracy, and better in something."""
        if self.lut is None or other.lut is None or self.data != other.data:
            return False
        more = (self.fps - other.fps, other.lut - self.lut, (self.top1 or 0) - (other.top1 or 0))
        return min(more) >= 0 < max(more)


def front(points: list[Point]) -> list[Point]:
    """Those of known size that none beats, the smallest first."""
    best = [point for point in points if point.lut is not None and not any(other.beats(point) for other in points)]
    return sorted(best, key=lambda point: (point.lut or 0, point.fps))


def published(path: Path) -> list[Point]:
    """What others have measured."""
    return TypeAdapter(list[Point]).validate_python(yaml.safe_load(path.read_text()))


def measured(results: Results, top1: float | None) -> list[Point]:
    """The builds of the network for the PYNQ-Z2 that were measured, the slowest first."""
    points = []
    for name, result in results.root.items():
        figures = result.figures
        if name.split("_")[0] != NETWORK or not isinstance(fps := figures.get("fps"), (int, float)):
            continue
        points.append(
            Point(
                design="ResNet-20, IR2Net",
                device="XC7Z020 (PYNQ-Z2)",
                bits="1 × 1",
                top1=top1,
                clock_mhz=TypeAdapter(float).validate_python(figures["clock_mhz"]),
                fps=fps,
                lut=TypeAdapter(int).validate_python(figures["lut"]),
                where="RTL simulation, Yosys",
                source=f"`{name}` of bench/results.json, {result.date[:10]}",
            )
        )
    return sorted(points, key=lambda point: point.fps)


def table(points: Iterable[Point]) -> str:
    """Markdown, a row for each."""
    rows = [
        "| design | device | bits | top-1 | MHz | frames/s | LUT | frames/s per 1,000 LUT | measured on | source |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for point in points:
        cells = (
            point.design,
            point.device,
            point.bits,
            "–" if point.top1 is None else f"{100 * point.top1:.4g} %",
            "–" if point.clock_mhz is None else f"{point.clock_mhz:g}",
            f"{point.fps:,.0f}",
            "–" if point.lut is None else f"{point.lut:,}",
            "–" if point.lut is None else f"{1000 * point.fps / point.lut:,.0f}",
            point.where,
            point.source,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


Series = tuple[list[Point], str, Callable[[Point], str]]
"""Points, matplotlib's format of them, and what is written at each before its figures."""


def picture(
    series: Iterable[Series],
    title: str,
    path: Path,
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> None:
    """Draw those whose LUTs are known, within the limits of LUTs and frames a second, if there are any."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="LUT", ylabel="frames/s", xscale="log", yscale="log")
    for points, style, name in series:
        known = [(point, point.lut) for point in points if point.lut is not None]
        axes.plot([lut for _, lut in known], [point.fps for point, _ in known], style)
        for point, lut in known:
            top1 = "" if point.top1 is None else f", {100 * point.top1:.4g} %"
            text = f"{name(point)}{point.fps:,.0f}/s{top1}"
            axes.annotate(text, (lut, point.fps), (6, -4), textcoords="offset points", fontsize=8, va="top")
    axes.set_title(title, fontsize=10)
    if limits is not None:
        axes.set_xlim(limits[0])
        axes.set_ylim(limits[1])
    axes.grid(which="both", alpha=0.2)
    with rc_context({"svg.hashsalt": "pareto", "svg.fonttype": "none"}):  # the same bytes for the same figures
        figure.savefig(path, metadata={"Date": None})


def main(root: Path = ROOT) -> None:
    """Replace the table between its two marks in docs/results.md, and docs/pareto.svg."""
    from model.checkpoint import load_card, shipped_checkpoint  # torch takes seconds

    page = root / "docs" / "results.md"
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    own = measured(Results.read(root / "bench" / "results.json"), load_card(shipped_checkpoint(NETWORK)).top1)
    others = published(root / "bench" / "published.yaml")
    page.write_text(before + BEGIN + table([*own, *others]) + END + after)
    title = "ResNet-20 of this project on the XC7Z020 (line), and what others published (squares)"
    foreign: Series = (others, "s", lambda point: f"{point.design}\n{point.device}, {point.bits} bit, ")
    limits = ((9_000, 200_000), (1_000, 100_000))
    picture([(own, "o-", lambda _: ""), foreign], title, root / "docs" / "pareto.svg", limits)


if __name__ == "__main__":
    main()
