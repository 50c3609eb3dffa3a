# SPDX-License-Identifier: Apache-2.0
"""FIFO sizing on a residual block: the shortcut needs a FIFO, everything else hardly any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw import finn_env
from hw.ops.generation import generate
from hw.rtlsim.fifo import (
    FIFO,
    REPORT,
    FifoError,
    GaugedDesign,
    diagnose,
    fifo_bits,
    insert_fifos,
    remove_fifos,
    size_fifos,
)
from hw.rtlsim.sim import StallError
from hw.rtlsim.stitch import stitch
from hw.rtlsim.stitched import simulate
from tests.hw.rtlsim.graphs import CLOCK_NS, PART, chain, expected, random_frames, residual

SHORTCUT = "in_b"


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


@pytest.fixture(scope="module")
def build_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def sized(build_dir: Path) -> ModelWrapper:
    return size_fifos(residual(), PART, CLOCK_NS, build_dir)


@pytest.fixture(scope="module")
def gauged(sized: ModelWrapper, tmp_path_factory: pytest.TempPathFactory) -> GaugedDesign:
    plain, _ = remove_fifos(sized)
    return GaugedDesign(plain, tmp_path_factory.mktemp("gauged"))


def limits(gauged: GaugedDesign, shortcut: int) -> list[int]:
    return [shortcut if edge.tensor == SHORTCUT else 5 for edge in gauged.edges]


def fewest(gauged: GaugedDesign, interval: float) -> int:
    """The smallest capacity of the shortcut with at most `interval` cycles a frame."""
    low, high = 0, 4 * 144
    while high - low > 1:
        middle = (low + high) // 2
        fits = gauged.run(limits(gauged, middle), 5, idle_limit=10_000).interval <= interval
        low, high = (low, middle) if fits else (middle, high)
    return high


def test_sized_design_is_exact_and_fast(sized: ModelWrapper, build_dir: Path) -> None:
    frames = random_frames(sized, 5)
    design = stitch(sized, build_dir / "stitched")
    for stall in (0.0, 0.3):
        result = simulate(design, frames, stall_in=stall, stall_out=stall, seed=2)
        np.testing.assert_array_equal(result.outputs, expected(sized, frames))
    slowest = max(getCustomOp(node).get_exp_cycles() for node in sized.graph.node)
    assert slowest <= simulate(design, frames).interval <= 1.02 * slowest


def test_report_agrees_with_the_model(sized: ModelWrapper, build_dir: Path) -> None:
    report = json.loads((build_dir / REPORT).read_text())
    fifos = [node for node in sized.graph.node if node.op_type == FIFO]
    assert report["summary"]["bits"] == fifo_bits(sized) > 0
    assert report["summary"]["fifos"] == len(fifos) == len(report["fifos"])
    assert any(fifo["tensor"] == SHORTCUT and fifo["to"] == "StreamAdd_rtl_0" for fifo in report["fifos"])


def test_shortcut_is_not_deeper_than_needed(sized: ModelWrapper, gauged: GaugedDesign, build_dir: Path) -> None:
    """No depth below the one chosen that costs less would do."""
    target = json.loads((build_dir / REPORT).read_text())["summary"]["interval_cycles"]
    _, depths = remove_fifos(sized)
    needed = fewest(gauged, target)
    assert needed <= depths[SHORTCUT] <= 2 * needed


def test_one_beat_too_few_is_slower(gauged: GaugedDesign) -> None:
    target = gauged.run(limits(gauged, 4 * 144), 5).interval
    needed = fewest(gauged, target)
    assert gauged.run(limits(gauged, needed), 5).interval == target
    assert gauged.run(limits(gauged, needed - 1), 5, idle_limit=10_000).interval > target


def test_dead_lock_is_found_and_named(gauged: GaugedDesign) -> None:
    running = fewest(gauged, 1e9)
    assert gauged.run(limits(gauged, running), 5).frame_ends
    trial = gauged.run(limits(gauged, running - 1), 5, idle_limit=10_000)
    assert trial.frame_ends == ()
    assert [(blocked.full.tensor, blocked.capacity) for blocked in trial.blocked] == [(SHORTCUT, running - 1)]
    assert "StreamAdd_rtl_0 waits for" in str(trial.blocked[0])


def test_gauges_and_fifos_agree(gauged: GaugedDesign, sized: ModelWrapper, tmp_path: Path) -> None:
    """FINN's FIFO of the depth that is just enough runs; one beat less dead-locks, and the FIFO is named."""
    running = fewest(gauged, 1e9)
    plain, depths = remove_fifos(sized)
    frames = random_frames(plain, 3)
    for depth in (running, running - 1):
        others = dict.fromkeys(depths, 5)
        model = insert_fifos(plain, {**others, SHORTCUT: depth})
        model = generate(model, PART, CLOCK_NS, tmp_path / f"nodes{depth}")
        design = stitch(model, tmp_path / f"stitched{depth}")
        if depth == running:
            np.testing.assert_array_equal(simulate(design, frames).outputs, expected(plain, frames))
            continue
        with pytest.raises(StallError):
            simulate(design, frames, idle_limit=10_000)
        assert [blocked.full.tensor for blocked in diagnose(model, tmp_path / "diagnosed")] == [SHORTCUT]


def test_fifos_can_be_inserted_and_removed(sized: ModelWrapper) -> None:
    plain, depths = remove_fifos(sized)
    assert not plain.get_nodes_by_op_type(FIFO)
    everywhere = {"in": 17, "in_a_win": 33, **depths, plain.graph.output[0].name: 5}
    again, found = remove_fifos(insert_fifos(plain, everywhere))
    assert found == everywhere
    assert [(n.name, *n.input, *n.output) for n in again.graph.node] == [
        (n.name, *n.input, *n.output) for n in plain.graph.node
    ]


def test_a_throttled_source_keeps_levels_low(gauged: GaugedDesign) -> None:
    """Unthrottled, everything in front of the slowest node fills; throttled, hardly anything does."""
    deep = [edge.stream.gauge_depth for edge in gauged.edges]
    free = gauged.run(deep, 5)
    paced = gauged.run(deep, 5, period=free.interval)
    assert paced.interval == pytest.approx(free.interval, rel=0.01)
    assert sum(paced.peaks) < 0.5 * sum(free.peaks)


def test_a_design_that_cannot_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With gauges of no capacity even the first run dead-locks, and the message says where."""
    monkeypatch.setattr("hw.rtlsim.stitch.GAUGE_FRAMES", 0)
    with pytest.raises(FifoError, match=f"{SHORTCUT} .* is full"):
        size_fifos(residual(), PART, CLOCK_NS, tmp_path)


def test_a_chain_needs_hardly_any(tmp_path: Path) -> None:
    """Without branches one FIFO of ten beats will do: the smallest shift register, 17 beats of 16 bits."""
    assert fifo_bits(size_fifos(chain(), PART, CLOCK_NS, tmp_path)) <= 17 * 16
