# SPDX-License-Identifier: Apache-2.0
"""What --list-boards says fits where."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from flows.boards import print_boards, read_reports, verdict
from flows.report.summary import Summary
from hw.boards.board import available, load
from tests.flows.command import ROOT, build
from tests.flows.report.conftest import EXAMPLE

SMALL = {"lut": 26600, "ff": 100, "bram36": 10.5, "dsp": 22}


def report(board: str, network: str = "tiny", **used: Any) -> Summary:
    resources = EXAMPLE["resources"] | SMALL | used
    return Summary.model_validate(EXAMPLE | {"board": board, "network": network, "resources": resources})


@pytest.mark.parametrize(
    ("board", "used", "text"),
    [
        ("pynq-z2", {}, "fits: 62 % LUT"),
        ("pynq-z1", {}, "fits: 62 % LUT, as built for pynq-z2"),
        ("pynq-z2", {"dsp": 220}, "fits: 100 % DSP"),
        ("pynq-z2", {"bram36": 138}, "fits: 100 % BRAM36"),
        ("pynq-z2", {"bram36": 138.5}, "does not fit: 100 % BRAM36"),
        ("pynq-z2", {"ff": 204000}, "does not fit: 200 % FF"),
        ("zcu104", {}, "not built for this family"),
    ],
)
def test_verdicts(board: str, used: dict[str, Any], text: str) -> None:
    assert verdict(load(board), "tiny", [report("pynq-z2", **used)]) == text


def test_the_boards_own_report_comes_first() -> None:
    both = [report("pynq-z1", lut=100, dsp=0), report("pynq-z2")]
    assert verdict(load("pynq-z2"), "tiny", both) == "fits: 62 % LUT"
    assert verdict(load("pynq-z2"), "resnet20", both) == "not built for this family"


def test_a_report_that_was_not_synthesised_says_nothing() -> None:
    assert verdict(load("pynq-z2"), "tiny", [report("pynq-z2", tool=None)]) == "not built for this family"


def test_table(tmp_path: Path) -> None:
    folder = tmp_path / "tiny-pynq-z2" / "report"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(report("pynq-z2").model_dump_json())
    (tmp_path / "old" / "report").mkdir(parents=True)
    (tmp_path / "old" / "report" / "summary.json").write_text("{}")
    assert len(read_reports(tmp_path)) == 1
    console = Console(width=300, record=True, quiet=False)
    print_boards(console, tmp_path)
    text = console.export_text()
    for board in available():
        row = next(line for line in text.splitlines() if line.startswith(f"{board.name} "))
        assert board.part in row
        assert str(board.resources.lut) in row
    assert text.count("fits: 62 % LUT") == 2
    assert "10000, resnet20 40000" in text


def test_command(tmp_path: Path) -> None:
    result = build("--list-boards", "--output-dir", tmp_path / "any")
    assert result.returncode == 0
    assert "there is no report in" in " ".join((result.stdout + result.stderr).split())


def test_the_guide_names_what_finn_takes_from_elsewhere() -> None:
    known = yaml.safe_load((files("finn.interface") / "external_dependencies.yaml").read_text())
    guide = (ROOT / "docs" / "board.md").read_text()
    headers = known["git_deps"]["finn-hlslib"]
    assert f"git clone {headers['url']}\n    git -C finn-hlslib checkout {headers['commit']}\n" in guide
    finns = [["Vivado's own", "", ""]]
    for source in [*known["boardfile_deps"].values(), *known["direct_download_deps"].values()]:
        folder = source.get("subdirectory", ".")
        finns.append([f"<{source['url']}>", source.get("commit", "a zip file"), "all" if folder == "." else folder])
    table = guide.partition("| board | from | commit | folder |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[1:]]
    assert all(source in finns for _, *source in rows)
    named = [name for names, *_ in rows for name in names.split(", ")]
    assert sorted(named) == [board.name for board in available() if board.shell == "zynq-iodma"]
