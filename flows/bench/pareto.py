# SPDX-License-Identifier: Apache-2.0
"""Frames a second against LUTs: the benches of one network beside what others published, as a table and a picture.

`python -m flows.bench.pareto` writes both into docs/ from bench/results.json and bench/published.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    """An accelerator for CIFAR-10; None where nobody says."""

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


def picture(own: list[Point], others: list[Point], path: Path) -> None:
    """Draw those whose LUTs are known."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="LUT", ylabel="frames/s", xscale="log", yscale="log")
    for points, style in ((own, "o-"), (others, "s")):
        known = [(point, point.lut) for point in points if point.lut is not None]
        axes.plot([lut for _, lut in known], [point.fps for point, _ in known], style)
        for point, lut in known:
            top1 = "" if point.top1 is None else f", {100 * point.top1:.4g} %"
            name = "" if points is own else f"{point.design}\n{point.device}, {point.bits} bit, "
            text = f"{name}{point.fps:,.0f}/s{top1}"
            axes.annotate(text, (lut, point.fps), (6, -4), textcoords="offset points", fontsize=8, va="top")
    axes.set_title("ResNet-20 of this project on the XC7Z020 (line), and what others published (squares)", fontsize=10)
    axes.set_xlim(9_000, 200_000)
    axes.set_ylim(1_000, 100_000)
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
    picture(own, others, root / "docs" / "pareto.svg")


if __name__ == "__main__":
    main()
