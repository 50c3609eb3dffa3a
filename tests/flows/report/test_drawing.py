# SPDX-License-Identifier: Apache-2.0
"""Where boxes stand, and that every edge is drawn."""

from itertools import pairwise
from xml.etree import ElementTree as ET

from flows.report.drawing import draw, place, visible_edges
from flows.report.summary import NodeRow

NS = {"svg": "http://www.w3.org/2000/svg"}


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{{{NS['svg']}}}text")]


def test_hidden_nodes_are_bridged(nodes: list[NodeRow]) -> None:
    edges = visible_edges(nodes)
    assert ("Thresholding_rtl_0", "DuplicateStreams_rtl_0") in edges
    assert not any("FIFO" in end for edge in edges for end in edge)
    assert len(edges) == 10


def test_chains_of_hidden_nodes_and_a_hidden_input() -> None:
    rows = [
        NodeRow(name="f0", op="StreamFIFO_rtl", role="store", inputs=("outside",)),
        NodeRow(name="a", op="MVAU_rtl", inputs=("f0",)),
        NodeRow(name="d", op="StreamingDataWidthConverter_rtl", role="store", inputs=("a",)),
        NodeRow(name="f1", op="StreamFIFO_rtl", role="store", inputs=("d",)),
        NodeRow(name="b", op="MVAU_rtl", inputs=("f1",)),
    ]
    assert visible_edges(rows) == [("a", "b")]


def test_a_block_is_a_row_and_its_shortcut_stays_in_it(nodes: list[NodeRow]) -> None:
    shown = [node.name for node in nodes if "FIFO" not in node.op]
    places = place(shown, visible_edges(nodes))
    block = ["DuplicateStreams_rtl_0", "XnorMVAU_rtl_0", "Thresholding_rtl_1", "StreamAdd_rtl_0"]
    assert len({places[name].row for name in block}) == 1
    assert [places[name].column for name in block] == [0, 1, 2, 3]
    assert places["DuplicateStreams_rtl_1"].row == places["DuplicateStreams_rtl_0"].row + 1
    assert places["StreamingConcat_rtl_0"].row > places["Pool_rtl_0"].row


def test_no_two_boxes_in_one_place(nodes: list[NodeRow]) -> None:
    names = [f"n{i}" for i in range(40)]
    edges = [(names[0], name) for name in names[1:20]] + [(name, names[20]) for name in names[1:20]]
    edges += list(pairwise(names[20:]))
    places = place(names, edges, columns=5)
    assert len(set(places.values())) == len(names)
    assert max(spot.column for spot in places.values()) <= 4


def test_every_visible_node_is_drawn_and_edges_between_rows_have_stubs(nodes: list[NodeRow]) -> None:
    picture = draw(nodes)
    boxes = [g for g in ET.fromstring(picture).iter(f"{{{NS['svg']}}}g") if "node" in g.get("class", "")]
    assert len(boxes) == 8
    assert "→ concat 0" in " ".join(texts(picture))
    assert [g.get("class") for g in boxes if "slowest" in g.get("class", "")] == ["node compute slowest"]


def test_nothing_to_draw() -> None:
    assert draw([]) == ""
    assert draw([NodeRow(name="f", op="StreamFIFO_rtl", role="store")]) == ""
