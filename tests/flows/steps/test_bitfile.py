# SPDX-License-Identifier: Apache-2.0
"""--bitfile: FINN's flow against stand-ins for the tools, and what is said where there are none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from flows.config import BuildConfig
from flows.errors import UserError
from flows.pipeline import Context, Skipped
from flows.report.summary import Summary, Vivado
from flows.steps import bitfile, report
from hw.boards.board import load
from hw.driver.device import read_record
from hw.driver.settings import Settings
from model.checkpoint import shipped_checkpoint
from tests.flows import finished
from tests.flows.command import build
from tests.hw.deploy import fake_tools, flowcheck
from tests.tools import needs_tclsh

pytestmark = needs_tclsh


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("XILINX_VIVADO", "XILINX_XRT", "FINN_DEPS"):
        monkeypatch.delenv(name, raising=False)


def context(folder: Path, board: str = "pynq-z2", wanted: bool = True) -> Context:
    """What the step sees where nothing was built."""
    return Context(
        config=BuildConfig(network="tiny", bitfile=wanted, output_dir=folder),
        board=load(board),
        folders={},
        checkpoint=shipped_checkpoint("tiny"),
        current="bitfile",
    )


def reported(found: Context, result: bitfile.Bitfile) -> Vivado | None:
    """What summary.json says of Vivado where the bitfile's step ended with a result, and all others as in a build."""
    results = found.results | {"bitfile": result}
    found.folders["report"].mkdir(exist_ok=True)
    report.STEP.run(dataclasses.replace(found, results=results, current="report"))
    return Summary.model_validate_json((found.folders["report"] / "summary.json").read_text()).vivado


@pytest.mark.timeout(1500)
def test_zynq(tiny_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tools.install(monkeypatch, tmp_path / "tools")
    folder = tmp_path / "bitfile"
    folder.mkdir()
    found = finished.context(tiny_build, "bitfile", folder, bitfile=True)
    result = bitfile.run(found)
    assert (folder / "tiny-pynq-z2.zip").is_file()
    made = sorted(path.name for path in (folder / "made").glob("report*"))
    assert made == ["report_timing.rpt", "report_utilization.rpt", "report_utilization.xml"]
    assert result.vivado is not None
    assert [(path.node, path.slack_ns) for path in result.vivado.paths] == [("XnorMVAU_rtl_1", 1.284), ("", 1.501)]
    assert result.vivado.paths[0].layer
    assert reported(found, result) == Vivado(
        tool="Vivado v.2022.2", wns_ns=1.284, whs_ns=0.015, wpws_ns=3.75, met=True,
        lut=12345, ff=20202, bram36=10.5, dsp=41, uram=None, paths=result.vivado.paths,
    )  # fmt: skip
    assert reported(found, bitfile.Bitfile()) is None
    package = folder / "tiny-pynq-z2"
    settings = Settings.load(package)
    assert settings.bitfile.is_file()
    assert settings.bitfile.with_suffix(".hwh").is_file()
    assert read_record(package)["build_id"] == settings.build_id
    assert flowcheck.check(folder / "finn").cells > 80


@pytest.mark.usefixtures("no_tools")
def test_skipped_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="vivado is not installed"):
        bitfile.STEP.run(context(tmp_path, wanted=False))


def test_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tools.install(monkeypatch, tmp_path)
    with pytest.raises(Skipped, match=r"not asked for \(--bitfile\)"):
        bitfile.STEP.run(context(tmp_path, wanted=False))


@pytest.mark.usefixtures("no_tools")
def test_asked_for_without_the_tools(tmp_path: Path) -> None:
    found = context(tmp_path)
    with pytest.raises(UserError, match=r"vivado is not installed; .*; install Vivado with Vitis HLS \(2022"):
        bitfile.check(found.config, found.board)
    alveo = context(tmp_path, "u250")
    with pytest.raises(UserError, match=r"v\+\+ is not installed; kernelinfo is.* XRT and the card's platform"):
        bitfile.check(alveo.config, alveo.board)
    unknown = alveo.board.model_copy(update={"platform": "Arty-Z7"})
    with pytest.raises(UserError, match="FINN knows no board 'Arty-Z7'; leave --bitfile out"):
        bitfile.check(alveo.config, unknown)
    with pytest.raises(UserError, match=r"Vivado cannot name files in .*a b; choose a path of letters"):
        bitfile.check(found.config.model_copy(update={"output_dir": tmp_path / "a b"}), found.board)


def test_the_command_says_it_before_the_first_step(tmp_path: Path) -> None:
    result = build("--network", "tiny", "--bitfile", "--output-dir", tmp_path / "out")
    assert result.returncode == 1
    assert "error: --bitfile: vivado is not installed" in result.stderr
    assert not (tmp_path / "out").exists()
