# SPDX-License-Identifier: Apache-2.0
"""The dataflow graph as an SVG picture.

A row begins where a stream is duplicated or rows come together, so that a residual block is one row; what leaves a row
for a distant one is a labelled stub. FIFOs and width converters are left out: they stand on nearly every edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from flows.report.summary import NodeRow

_COLUMNS = 8  # boxes side by side before a row is wrapped
_BOX = (98, 46)
_GAP = (18, 16)
_ROW_GAP = 22
_MARGIN = 14


@dataclass(frozen=True)
class Place:
    """Where a box stands: row of the picture, column and lane in the row."""

    row: int
    column: int
    lane: int


def short(node: NodeRow) -> str:
    """What a node is called in the pictures, e.g. "concat 0" for "StreamingConcat_rtl_0"."""
    number = node.name.rpartition("_")[2]
    return f"{node.label} {number}" if node.label and number.isdecimal() else node.name


def is_hidden(node: NodeRow) -> bool:
    """Whether a node is left out of the picture of the graph."""
    return node.role == "store"


def visible_edges(nodes: Sequence[NodeRow]) -> list[tuple[str, str]]:
    """Edges between nodes that are shown; a hidden node's are joined."""
    by_name = {node.name: node for node in nodes}

    def shown(name: str) -> str | None:
        while name in by_name and is_hidden(by_name[name]):
            sources = by_name[name].inputs
            name = sources[0] if sources else ""
        return name if name in by_name else None

    edges = [
        (source, node.name)
        for node in nodes
        if not is_hidden(node)
        for source in map(shown, node.inputs)
        if source is not None
    ]
    return list(dict.fromkeys(edges))


def place(names: Sequence[str], edges: Sequence[tuple[str, str]], columns: int = _COLUMNS) -> dict[str, Place]:
    """Places of the boxes. `names` are in an order in which every edge leads forward."""
    sources: dict[str, list[str]] = {name: [] for name in names}
    sinks: dict[str, list[str]] = {name: [] for name in names}
    for source, sink in edges:
        sources[sink].append(source)
        sinks[source].append(sink)
    group: dict[str, int] = {}
    column: dict[str, int] = {}
    for name in names:
        before = {group[source] for source in sources[name]}
        current = max(before, default=0)
        starts_row = bool(group) and (len(sinks[name]) > 1 or len(before) > 1 or not before)
        inside = [column[source] + 1 for source in sources[name] if group[source] == current]
        if starts_row or max(inside, default=0) >= columns:
            current = max(group.values(), default=-1) + 1
            inside = []
        group[name], column[name] = current, max(inside, default=0)
    lane = _lanes(names, sources, group, column)
    order = {row: index for index, row in enumerate(sorted(set(group.values())))}
    return {name: Place(order[group[name]], column[name], lane[name]) for name in names}


def _lanes(
    names: Sequence[str], sources: Mapping[str, list[str]], group: Mapping[str, int], column: Mapping[str, int]
) -> dict[str, int]:
    """Lane of each box: the longest chain of a row keeps lane 0, other branches go below it."""
    to_end = dict.fromkeys(names, 0)
    for name in reversed(names):
        for source in sources[name]:
            if group[source] == group[name]:
                to_end[source] = max(to_end[source], to_end[name] + 1)
    lane: dict[str, int] = {}
    taken: set[tuple[int, int, int]] = set()
    for name in sorted(names, key=lambda name: (group[name], column[name], -to_end[name])):
        wanted = min((lane[s] for s in sources[name] if group[s] == group[name]), default=0)
        while (group[name], column[name], wanted) in taken:
            wanted += 1
        lane[name] = wanted
        taken.add((group[name], column[name], wanted))
    return lane


def draw(nodes: Sequence[NodeRow]) -> str:
    """The picture as SVG text; empty where there is nothing to show."""
    shown = [node for node in nodes if not is_hidden(node)]
    if not shown:
        return ""
    edges = visible_edges(nodes)
    places = place([node.name for node in shown], edges)
    lanes = [
        1 + max(spot.lane for spot in places.values() if spot.row == row)
        for row in range(1 + max(spot.row for spot in places.values()))
    ]
    tops = [_MARGIN]
    for count in lanes:
        tops.append(tops[-1] + count * (_BOX[1] + _GAP[1]) + _ROW_GAP)
    stub = 96
    width = 2 * (_MARGIN + stub) + (1 + max(spot.column for spot in places.values())) * (_BOX[0] + _GAP[0])

    def corner(name: str) -> tuple[int, int]:
        spot = places[name]
        x = _MARGIN + stub + spot.column * (_BOX[0] + _GAP[0])
        return x, tops[spot.row] + spot.lane * (_BOX[1] + _GAP[1])

    picture = ET.Element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {tops[-1]}", "class": "graph", "role": "img"},
    )
    for row, top in enumerate(tops[:-1]):
        if row % 2:
            height = tops[row + 1] - top
            _add(picture, "rect", "band", x=0, y=top - _ROW_GAP // 2, width=width, height=height)
    _edges(picture, edges, places, corner, {node.name: short(node) for node in shown})
    most_cycles, most_luts = (max(getattr(node, key) or 0 for node in shown) for key in ("cycles", "lut"))
    for node in shown:
        _box(picture, node, corner(node.name), most_cycles, most_luts)
    return ET.tostring(picture, encoding="unicode")


_Corner = Callable[[str], tuple[int, int]]


def _edges(
    picture: ET.Element,
    edges: Sequence[tuple[str, str]],
    places: Mapping[str, Place],
    corner: _Corner,
    names: Mapping[str, str],
) -> None:
    """Lines inside a row; stubs on both ends of an edge between rows."""
    leaving: dict[str, list[str]] = {}
    entering: dict[str, list[str]] = {}
    for source, sink in edges:
        if places[source].row == places[sink].row:
            _line(picture, places[source], places[sink], corner(source), corner(sink))
        else:
            leaving.setdefault(source, []).append(sink)
            entering.setdefault(sink, []).append(source)
    for source, sinks in leaving.items():
        x, y = corner(source)
        right = any(
            spot.row == places[source].row and spot.lane == places[source].lane and spot.column > places[source].column
            for spot in places.values()
        )
        _stub_out(picture, x, y, ", ".join(f"→ {names[sink]}" for sink in sinks), below=right)
    for sink, sources in entering.items():
        x, y = corner(sink)
        for index, source in enumerate(sources):
            level = y + _BOX[1] / 2 + 11 * (index - (len(sources) - 1) / 2)
            _add(picture, "path", "edge", d=f"M{x - 12},{level} H{x}")
            _text(picture, x - 15, level + 3, names[source], "stub end")


def _stub_out(picture: ET.Element, x: int, y: int, text: str, *, below: bool) -> None:
    if below:
        middle = x + _BOX[0] / 2
        _add(picture, "path", "edge", d=f"M{middle},{y + _BOX[1]} v7")
        _text(picture, middle, y + _BOX[1] + 15, text, "stub middle")
    else:
        right, level = x + _BOX[0], y + _BOX[1] / 2
        _add(picture, "path", "edge", d=f"M{right},{level} h12")
        _text(picture, right + 15, level + 3, text, "stub")


def _line(picture: ET.Element, start: Place, end: Place, a: tuple[int, int], b: tuple[int, int]) -> None:
    x0, y0 = a[0] + _BOX[0], a[1] + _BOX[1] // 2
    x1, y1 = b[0], b[1] + _BOX[1] // 2
    if start.lane > end.lane and end.column > start.column + 1:
        # along its own lane, then up into the join
        turn = b[0] + 14
        path = f"M{x0},{y0} H{turn - 9} Q{turn},{y0} {turn},{y0 - 9} V{b[1] + _BOX[1]}"
    elif start.lane == end.lane and end.column > start.column + 1:
        # over the boxes between them
        dip = a[1] + _BOX[1] + 8
        left, right = a[0] + _BOX[0] - 14, b[0] + 14
        down = f"M{left},{a[1] + _BOX[1]} Q{left},{dip} {left + 9},{dip}"
        path = f"{down} H{right - 9} Q{right},{dip} {right},{b[1] + _BOX[1]}"
    else:
        bend = max((x1 - x0) / 2, 8)
        path = f"M{x0},{y0} C{x0 + bend},{y0} {x1 - bend},{y1} {x1},{y1}"
    _add(picture, "path", "edge", d=path)


def _box(picture: ET.Element, node: NodeRow, corner: tuple[int, int], most_cycles: int, most_luts: int) -> None:
    x, y = corner
    slowest = bool(most_cycles) and node.cycles == most_cycles
    group = ET.SubElement(picture, "g", {"class": f"node {node.role}{' slowest' if slowest else ''}"})
    ET.SubElement(group, "title").text = _tooltip(node)
    _add(group, "rect", "box", x=x, y=y, width=_BOX[0], height=_BOX[1], rx=5)
    _text(group, x + _BOX[0] / 2, y + 15, short(node), "op middle")
    _text(group, x + _BOX[0] / 2, y + 28, node.folding, "detail middle")
    _load(group, "cycles", (x + 8, y + 33), node.cycles, most_cycles)
    _load(group, "luts", (x + 8, y + 39), node.lut, most_luts)


def _load(group: ET.Element, style: str, corner: tuple[int, int], value: int | None, most: int) -> None:
    """A line as long as the value is large; none where it was not measured."""
    if value is not None and most:
        (x, y), width = corner, _BOX[0] - 16
        _add(group, "rect", "track", x=x, y=y, width=width, height=3, rx=1.5)
        _add(group, "rect", style, x=x, y=y, width=round(max(width * value / most, 1), 1), height=3, rx=1.5)


def _tooltip(node: NodeRow) -> str:
    figures = {"cycles": node.cycles, "LUT": node.lut, "FF": node.ff, "BRAM36": node.bram36, "DSP": node.dsp}
    known = ", ".join(f"{value:,} {name}" for name, value in figures.items() if value is not None)
    return "\n".join(line for line in (f"{node.name} ({node.op})", node.folding, known) if line)


def _add(parent: ET.Element, tag: str, style: str, **attributes: float | str) -> None:
    ET.SubElement(parent, tag, {"class": style} | {key: str(value) for key, value in attributes.items()})


def _text(parent: ET.Element, x: float, y: float, text: str, style: str) -> None:
    ET.SubElement(parent, "text", {"class": style, "x": str(x), "y": str(y)}).text = text
