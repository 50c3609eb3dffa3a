# SPDX-License-Identifier: Apache-2.0
"""report.html: the figures of a build in one file that needs nothing else."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import matplotlib as mpl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from flows.report.drawing import draw, is_hidden, short
from flows.report.summary import NodeRow, Summary

_LARGEST = 24  # nodes in the bar charts; the table below them has them all
_COLOURS = {
    "compute": "#2f6db5",
    "quantise": "#c98a1b",
    "move": "#6f8f3f",
    "join": "#8a5fb0",
    "store": "#8b95a1",
}
_MEANING = {
    "compute": "multiply, count, pool",
    "quantise": "threshold",
    "move": "pad, slide windows",
    "join": "duplicate, add, concatenate",
    "store": "FIFO, width converter",
}
_RESOURCES = (("lut", "LUT"), ("ff", "FF"), ("bram36", "BRAM36"), ("dsp", "DSP"))
_INK, _GRID = "#1d2733", "#e3e7ec"


@dataclass(frozen=True)
class Pictures:
    """The page's pictures as SVG texts; empty where there is nothing to show."""

    graph: str
    cycles: str
    luts: str
    operators: str

    @classmethod
    def of(cls, nodes: Sequence[NodeRow]) -> Self:
        """Draw them, which is most of the work of a report."""
        return cls(
            graph=draw(nodes),
            cycles=_bars(nodes, "cycles", "cycles a frame"),
            luts=_bars(nodes, "lut", "LUTs"),
            operators=_operators(nodes),
        )


def write_report(
    summary: Summary, nodes: Sequence[NodeRow], pictures: Pictures, out_dir: Path, classes: Sequence[str] = ()
) -> Path:
    """Write summary.json, nodes.json and report.html into `out_dir`, which is created where it is missing.

    Args:
        summary: the build's figures.
        nodes: the design's nodes, each after those that feed it.
        pictures: of these nodes.
        out_dir: the report's folder; files of an earlier report are replaced.
        classes: the names of the classes, in the order of the labels; without them, their numbers stand there.

    Returns:
        The path of report.html.

    Raises:
        OSError: the folder cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    page = out_dir / "report.html"
    texts = {
        out_dir / "summary.json": summary.model_dump_json(indent=2) + "\n",
        out_dir / "nodes.json": json.dumps([node.model_dump() for node in nodes], indent=1) + "\n",
        page: render(summary, nodes, pictures, classes),
    }
    for path, text in texts.items():
        part = path.with_suffix(path.suffix + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return page


def render(summary: Summary, nodes: Sequence[NodeRow], pictures: Pictures, classes: Sequence[str] = ()) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment.get_template("report.html.j2").render(
        summary=summary,
        nodes=nodes,
        hidden=sum(is_hidden(node) for node in nodes),
        utilisation=_utilisation(summary),
        colours=_COLOURS,
        meaning=_MEANING,
        short={node.name: short(node) for node in nodes},
        most_cycles=max((node.cycles or 0 for node in nodes), default=0),
        most_luts=max((node.lut or 0 for node in nodes), default=0),
        pictures=pictures,
        names=classes or range(len(summary.accuracy.classes) if summary.accuracy else 0),
    )


def _number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A figure with thousands separators; a dash where it was not measured."""
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def _utilisation(summary: Summary) -> list[tuple[str, float | None, int, float | None]]:
    """Name, taken, available and share of each resource."""
    rows = []
    for key, name in _RESOURCES:
        taken, available = getattr(summary.resources, key), getattr(summary.resources.available, key)
        rows.append((name, taken, available, None if taken is None or not available else taken / available))
    return rows


def _bars(nodes: Sequence[NodeRow], key: Literal["cycles", "lut"], unit: str) -> str:
    """The largest nodes as horizontal bars, as SVG; empty where nothing was measured."""
    known = [(getattr(node, key), node) for node in nodes if getattr(node, key)]
    largest = sorted(known, key=lambda pair: -pair[0])[:_LARGEST]
    names, roles = [short(node) for _, node in largest], [node.role for _, node in largest]
    return _chart(names, [value for value, _ in largest], roles, unit)


def _operators(nodes: Sequence[NodeRow]) -> str:
    """LUTs by operator as horizontal bars, as SVG."""
    luts: dict[str, int] = {}
    count: dict[str, int] = {}
    for node in nodes:
        luts[node.op] = luts.get(node.op, 0) + (node.lut or 0)
        count[node.op] = count.get(node.op, 0) + 1
    ops = sorted((op for op in luts if luts[op]), key=lambda op: -luts[op])
    roles = {node.op: node.role for node in nodes}
    return _chart([f"{op}  × {count[op]}" for op in ops], [luts[op] for op in ops], [roles[op] for op in ops], "LUTs")


def _chart(names: Sequence[str], values: Sequence[float], roles: Sequence[str], unit: str) -> str:
    if not values:
        return ""
    settings = {"svg.fonttype": "none", "svg.hashsalt": unit + names[0], "font.family": "sans-serif", "font.size": 8.5}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.4, 0.55 + 0.2 * len(values)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(values)), values, height=0.68, color=[_COLOURS[role] for role in roles])
        axes.set_yticks(range(len(values)), names, color=_INK)
        axes.invert_yaxis()
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.set_xlabel(unit, color=_INK)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.locator_params(axis="x", nbins=5)
        axes.margins(x=0.14)
        for index, value in enumerate(values):
            axes.annotate(
                f"{value:,.0f}",
                (value, index),
                (3, 0),
                textcoords="offset points",
                va="center",
                color=_INK,
                fontsize=7.5,
            )
        axes.grid(axis="x", color=_GRID)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, colors=_INK)
        for side in ("top", "right", "bottom", "left"):
            axes.spines[side].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    # inline in HTML: no XML header, and the size is the page's to choose
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text[text.index("<svg") :], count=1)
    return re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
