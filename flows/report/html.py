# SPDX-License-Identifier: Apache-2.0
"""report.html: the figures of a build in one file that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from flows.report.drawing import draw, is_hidden, short
from flows.report.summary import NodeRow, Sample, Summary
from flows.report.text import accuracy, number

_LARGEST = 24  # bars of a chart; the table below them has all nodes
_ROLES = {
    "compute": ("#2f6db5", "multiply, count, pool"),
    "quantise": ("#c98a1b", "threshold"),
    "move": ("#6f8f3f", "pad, slide windows"),
    "join": ("#8a5fb0", "duplicate, add, concatenate"),
    "store": ("#8b95a1", "FIFO, width converter"),
}
"""Colour of each role, and what the legend says of it."""
_INK, _GRID = "#1d2733", "#e3e7ec"
_THEMED = {_INK: "currentColor", _GRID: "var(--line)"}
"""Colours of the charts that the page chooses, light or dark."""


def png(image: NDArray[np.uint8]) -> str:
    """A picture, (channels, height, width), as a PNG in base64."""
    pixels: NDArray[np.uint8] = image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def draw_pictures(nodes: Sequence[NodeRow]) -> dict[str, str]:
    """The page's pictures as SVG texts, empty where there is nothing to show: most of the work of a report."""
    cycles = [(short(node), node.cycles, node.role) for node in nodes]
    luts = [(short(node), node.lut, node.role) for node in nodes]
    slacks = [(short(node), node.slack_ns, node.role) for node in nodes]
    return {
        "graph": draw(nodes),
        "cycles": _chart(cycles, "cycles a frame"),
        "luts": _chart(luts, "LUTs"),
        "slacks": _chart(slacks, "slack, ns", least=True),
        "operators": _operators(nodes),
    }


def write_report(summary: Summary, nodes: Sequence[NodeRow], page: str, out_dir: Path) -> None:
    """Write summary.json, nodes.json and report.html into a folder, in the place of an earlier report."""
    texts = {
        "summary.json": summary.model_dump_json(indent=2) + "\n",
        "nodes.json": json.dumps([node.model_dump() for node in nodes], indent=1) + "\n",
        "report.html": page,
    }
    for name, text in texts.items():
        part = out_dir / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(out_dir / name)


def render(
    summary: Summary,
    nodes: Sequence[NodeRow],
    pictures: Mapping[str, str],
    classes: Sequence[str] = (),
    *,
    samples: Sequence[Sample] = (),
) -> str:
    """The page as text.

    Args:
        summary: the build's figures.
        nodes: the design's nodes, each after those that feed it.
        pictures: of these nodes.
        classes: the names of the classes, in the order of the labels; without them, their numbers stand there.
        samples: golden images with the hardware's answers.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template("report.html.j2").render(
        summary=summary,
        nodes=nodes,
        hidden=sum(is_hidden(node) for node in nodes),
        utilisation=_utilisation(summary),
        roles=_ROLES,
        short={node.name: short(node) for node in nodes},
        most_cycles=max((node.cycles or 0 for node in nodes), default=0),
        most_luts=max((node.lut or 0 for node in nodes), default=0),
        pictures=pictures,
        samples=samples,
        top1=accuracy(summary),
        slowest=next((node for node in nodes if node.name == summary.performance.bottleneck), None),
        names=classes or range(len(summary.accuracy.classes) if summary.accuracy else 0),
    )


def _utilisation(summary: Summary) -> list[tuple[str, float | None, int, int, float | None]]:
    """Name, taken, kept for shell and DMAs, available and taken share of each resource."""
    rows = []
    for name, available in summary.resources.available:
        taken = getattr(summary.resources, name)
        kept = getattr(summary.resources.kept, name)
        rows.append(
            (name.upper(), taken, kept, available, taken / available if available and taken is not None else None)
        )
    return rows


def _operators(nodes: Sequence[NodeRow]) -> str:
    """LUTs by operator."""
    count = Counter(node.op for node in nodes)
    luts: Counter[str] = Counter()
    for node in nodes:
        luts[node.op] += node.lut or 0
    roles = {node.op: node.role for node in nodes}
    return _chart([(f"{op}  × {count[op]}", luts[op], roles[op]) for op in count], "LUTs")


def _chart(bars: Sequence[tuple[str, float | None, str]], unit: str, least: bool = False) -> str:
    """The largest (name, value, role), or the least, as horizontal bars, as SVG; empty where nothing was measured."""
    known = [(value, name, role) for name, value, role in bars if value or (least and value is not None)]
    shown = sorted(known, key=lambda bar: bar[0] if least else -bar[0])[:_LARGEST]
    if not shown:
        return ""
    values, names, roles = zip(*shown, strict=True)
    settings = {"svg.fonttype": "none", "svg.hashsalt": unit + names[0], "font.family": "sans-serif", "font.size": 8.5}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.4, 0.55 + 0.2 * len(values)), layout="constrained")
        axes = figure.subplots()
        drawn = axes.barh(range(len(values)), values, height=0.68, color=[_ROLES[role][0] for role in roles])
        axes.bar_label(drawn, fmt="{:,.2f}" if least else "{:,.0f}", padding=3, color=_INK, fontsize=7.5)
        axes.set_yticks(range(len(values)), names, color=_INK)
        axes.set_ylim(len(values) - 0.4, -0.6)  # the first on top
        axes.set_xlabel(unit, color=_INK)
        axes.xaxis.set_major_formatter("{x:,g}" if least else "{x:,.0f}")
        axes.locator_params(axis="x", nbins=5)
        axes.margins(x=0.14)
        axes.grid(axis="x", color=_GRID)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, colors=_INK)
        axes.spines[:].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    for colour, themed in _THEMED.items():
        text = text.replace(colour, themed)
    # inline in HTML: no XML header, and the size, which comes first, is the page's to choose
    return re.sub(r' (?:width|height)="[^"]*"', "", text[text.index("<svg") :], count=2)
