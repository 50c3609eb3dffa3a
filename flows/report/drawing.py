# SPDX-License-Identifier: Apache-2.0
"""The dataflow graph as an SVG picture.

A row begins where a stream is duplicated or rows come together, so that a residual block is one row; what leaves a row
for a distant one is a labelled stub. FIFOs and width converters are left out: they stand on nearly every edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree as ET

from flows.report.summary import NodeRow

_COLUMNS = 8  # boxes side by side before a row is wrapped
_WIDTH, _HEIGHT = 116, 46  # of a box, in which the longest name fits
_GAP = (18, 16)
_ROW_GAP = 22
_MARGIN = 14
_STUB = 96


@dataclass(frozen=True)
class Place:
    """Where a box stands: row of the picture, column in the row, and lane, which is counted through all rows."""

    row: int
    column: int
    lane: int

    @property
    def x(self) -> int:
        """Of its left side."""
        return _MARGIN + _STUB + self.column * (_WIDTH + _GAP[0])

    @property
    def y(self) -> int:
        """Of its top."""
        return _MARGIN + self.row * _ROW_GAP + self.lane * (_HEIGHT + _GAP[1])


def short(node: NodeRow) -> str:
    """What a node is called in the pictures, e.g. "concat 0" for "StreamingConcat_rtl_0"."""
    number = node.name.rpartition("_")[2]
    return f"{node.label} {number}" if node.label and number.isdecimal() else node.name


def is_hidden(node: NodeRow) -> bool:
    """Whether a node is left out of the picture of the graph."""
    return node.role == "store"


def visible_edges(nodes: Sequence[NodeRow]) -> list[tuple[str, str]]:
    """Edges between nodes that are shown; a hidden node's are joined. Each node comes after those that feed it."""
    stands_for: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    for node in nodes:
        sources = [stands_for[name] for name in node.inputs if name in stands_for]
        if not is_hidden(node):
            stands_for[node.name] = node.name
            edges += [(source, node.name) for source in sources]
        elif sources:
            stands_for[node.name] = sources[0]
    return list(dict.fromkeys(edges))


def place(names: Sequence[str], edges: Sequence[tuple[str, str]], columns: int = _COLUMNS) -> dict[str, Place]:
    """Places of the boxes. `names` are in an order in which every edge leads forward."""
    sources = {name: [source for source, sink in edges if sink == name] for name in names}
    readers = Counter(source for source, _ in edges)
    row: dict[str, int] = {}
    column: dict[str, int] = {}
    for name in names:
        before = {row[source] for source in sources[name]}
        current = max(before, default=0)
        starts_row = bool(row) and (readers[name] > 1 or len(before) > 1 or not before)
        inside = [column[source] + 1 for source in sources[name] if row[source] == current]
        if starts_row or max(inside, default=0) >= columns:
            current = max(row.values()) + 1
            inside = []
        row[name], column[name] = current, max(inside, default=0)
    lane = _lanes(names, sources, row, column)
    return {name: Place(row[name], column[name], lane[name]) for name in names}


def _lanes(
    names: Sequence[str], sources: Mapping[str, list[str]], row: Mapping[str, int], column: Mapping[str, int]
) -> dict[str, int]:
    """Lane of each box: the longest chain of a row keeps the row's first, other branches go below it."""
    near = {name: [source for source in sources[name] if row[source] == row[name]] for name in names}
    to_end = dict.fromkeys(names, 0)
    for name in reversed(names):
        for source in near[name]:
            to_end[source] = max(to_end[source], to_end[name] + 1)
    lane: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()
    from_left = sorted(names, key=lambda name: (row[name], column[name], -to_end[name]))
    for _, members in groupby(from_left, key=lambda name: row[name]):
        first = max(lane.values(), default=-1) + 1
        for name in members:
            wanted = min((lane[source] for source in near[name]), default=first)
            while (column[name], wanted) in taken:
                wanted += 1
            lane[name] = wanted
            taken.add((column[name], wanted))
    return lane


def draw(nodes: Sequence[NodeRow]) -> str:
    """The picture as SVG text; empty where there is nothing to show."""
    shown = [node for node in nodes if not is_hidden(node)]
    if not shown:
        return ""
    edges = visible_edges(nodes)
    places = place([node.name for node in shown], edges)
    width = max(spot.x for spot in places.values()) + _WIDTH + _GAP[0] + _STUB + _MARGIN
    bottom = max(spot.y for spot in places.values()) + _HEIGHT + _GAP[1] + _ROW_GAP
    picture = ET.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {bottom}", "class": "graph", "role": "img"},
    )
    rows = range(1 + max(spot.row for spot in places.values()))
    tops = [*(min(spot.y for spot in places.values() if spot.row == row) for row in rows), bottom]
    for top, below in zip(tops[1::2], tops[2::2], strict=False):
        _add(picture, "rect", "band", x=0, y=top - _ROW_GAP // 2, width=width, height=below - top)
    _edges(picture, edges, places, {node.name: short(node) for node in shown})
    most_cycles, most_luts = (max(getattr(node, key) or 0 for node in shown) for key in ("cycles", "lut"))
    for node in shown:
        _box(picture, node, places[node.name], most_cycles, most_luts)
    return ET.tostring(picture, encoding="unicode")


def _edges(
    picture: ET.Element,
    edges: Sequence[tuple[str, str]],
    places: Mapping[str, Place],
    names: Mapping[str, str],
) -> None:
    """Lines inside a row; stubs on both ends of an edge between rows."""
    far = [(source, sink) for source, sink in edges if places[source].row != places[sink].row]
    for source, sink in edges:
        if places[source].row == places[sink].row:
            _line(picture, places[source], places[sink])
    for name, spot in places.items():
        sources = [names[source] for source, sink in far if sink == name]
        sinks = [names[sink] for source, sink in far if source == name]
        if sinks:
            right = any(other.lane == spot.lane and other.column > spot.column for other in places.values())
            _stub_out(picture, spot, ", ".join(f"→ {sink}" for sink in sinks), below=right)
        for index, source in enumerate(sources):
            level = spot.y + _HEIGHT / 2 + 11 * (index - (len(sources) - 1) / 2)
            _add(picture, "path", "edge", d=f"M{spot.x - 12},{level} H{spot.x}")
            _text(picture, spot.x - 15, level + 3, source, "stub end")


def _stub_out(picture: ET.Element, spot: Place, text: str, *, below: bool) -> None:
    if below:
        middle, bottom = spot.x + _WIDTH / 2, spot.y + _HEIGHT
        _add(picture, "path", "edge", d=f"M{middle},{bottom} v7")
        _text(picture, middle, bottom + 15, text, "stub middle")
    else:
        right, level = spot.x + _WIDTH, spot.y + _HEIGHT / 2
        _add(picture, "path", "edge", d=f"M{right},{level} h12")
        _text(picture, right + 15, level + 3, text, "stub")


def _line(picture: ET.Element, start: Place, end: Place) -> None:
    x0, y0 = start.x + _WIDTH, start.y + _HEIGHT // 2
    x1, y1 = end.x, end.y + _HEIGHT // 2
    passes_boxes = end.column > start.column + 1
    if passes_boxes and start.lane > end.lane:
        # along its own lane, then up into the join
        turn = x1 + 14
        path = f"M{x0},{y0} H{turn - 9} Q{turn},{y0} {turn},{y0 - 9} V{end.y + _HEIGHT}"
    elif passes_boxes and start.lane == end.lane:
        # over the boxes between them
        bottom = start.y + _HEIGHT
        dip, left, right = bottom + 8, x0 - 14, x1 + 14
        path = f"M{left},{bottom} Q{left},{dip} {left + 9},{dip} H{right - 9} Q{right},{dip} {right},{bottom}"
    else:
        bend = max((x1 - x0) / 2, 8)
        path = f"M{x0},{y0} C{x0 + bend},{y0} {x1 - bend},{y1} {x1},{y1}"
    _add(picture, "path", "edge", d=path)


def _box(picture: ET.Element, node: NodeRow, spot: Place, most_cycles: int, most_luts: int) -> None:
    x, y = spot.x, spot.y
    slowest = bool(most_cycles) and node.cycles == most_cycles
    group = ET.SubElement(picture, "g", {"class": f"node {node.role}{' slowest' if slowest else ''}"})
    ET.SubElement(group, "title").text = _tooltip(node)
    _add(group, "rect", "box", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=5)
    _text(group, x + _WIDTH / 2, y + 15, short(node), "op middle")
    _text(group, x + _WIDTH / 2, y + 28, node.folding, "detail middle")
    _load(group, "cycles", (x + 8, y + 33), node.cycles, most_cycles)
    _load(group, "luts", (x + 8, y + 39), node.lut, most_luts)


def _load(group: ET.Element, style: str, corner: tuple[int, int], value: int | None, most: int) -> None:
    """A line as long as the value is large; none where it was not measured."""
    if value is not None and most:
        (x, y), width = corner, _WIDTH - 16
        _add(group, "rect", "track", x=x, y=y, width=width, height=3, rx=1.5)
        _add(group, "rect", style, x=x, y=y, width=round(max(width * value / most, 1), 1), height=3, rx=1.5)


def _tooltip(node: NodeRow) -> str:
    figures = {"cycles": node.cycles, "LUT": node.lut, "FF": node.ff, "BRAM36": node.bram36, "DSP": node.dsp}
    known = ", ".join(f"{value:,} {name}" for name, value in figures.items() if value is not None)
    types = f"{node.takes} -> {node.gives}" if node.takes else ""
    return "\n".join(
        line for line in (f"{node.name} ({node.op})", node.layer, node.folding, types, node.constants, known) if line
    )


def _add(parent: ET.Element, tag: str, style: str, **attributes: float | str) -> None:
    ET.SubElement(parent, tag, {"class": style} | {key: str(value) for key, value in attributes.items()})


def _text(parent: ET.Element, x: float, y: float, text: str, style: str) -> None:
    ET.SubElement(parent, "text", {"class": style, "x": str(x), "y": str(y)}).text = text
