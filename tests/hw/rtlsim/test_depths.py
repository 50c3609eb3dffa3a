# SPDX-License-Identifier: Apache-2.0
"""FIFO sizing on a residual block: the shortcut needs a FIFO, everything else hardly any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw import finn_env
from hw.design.design import FIFO
from hw.design.fifos import insert_fifos, insert_width_converters
from hw.design.top import gauge_depth
from hw.rtlsim.depths import FifoError, GaugedDesign, Sized, size_fifos
from hw.rtlsim.whole import simulate
from hw.streams.sim import StallError
from tests.hw.design.graphs import CLOCK_NS, PART, PRICES, chain, designed, expected, random_frames, residual

SHORTCUT = "in_b"


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


def sized_in(model: ModelWrapper, folder: Path) -> Sized:
    return size_fifos(insert_width_converters(model, PART), PRICES, CLOCK_NS, folder / "design", folder / "scratch")


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Sized:
    return sized_in(residual(), tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def gauged(tmp_path_factory: pytest.TempPathFactory) -> GaugedDesign:
    return GaugedDesign(designed(residual(), {}, tmp_path_factory.mktemp("gauged")))


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


def test_sized_design_is_exact_and_fast(sized: Sized) -> None:
    frames = random_frames(sized.model, 5)
    for stall in (0.0, 0.3):
        result = simulate(sized.design, frames, stall_in=stall, stall_out=stall, seed=2)
        np.testing.assert_array_equal(result.outputs, expected(sized.model, frames))
    slowest = max(node.cycles for node in sized.design.nodes)
    assert slowest <= simulate(sized.design, frames).interval <= 1.02 * slowest


def test_the_design_agrees_with_the_model(sized: Sized) -> None:
    fifos = {node.name: node for node in sized.model.graph.node if node.op_type == FIFO}
    assert [node.name for node in sized.design.fifos] == list(fifos)
    assert all(
        node.folding["depth"] == getCustomOp(fifos[node.name]).get_nodeattr("depth") for node in sized.design.fifos
    )
    bits = [getCustomOp(node).get_nodeattr("depth") * getCustomOp(node).get_instream_width() for node in fifos.values()]
    assert sized.design.fifo_bits() == sum(bits) > 0
    assert sized.peaks[SHORTCUT] > 2  # where beats wait for the convolution
    assert all({*node.inputs, *node.outputs} & set(sized.peaks) for node in sized.design.fifos)
    before_the_join = {tensor for tensor, _ in sized.design.ends("StreamAdd_rtl_0")[0]}
    assert f"{SHORTCUT}_fifo" in before_the_join


def remove_fifos(model: ModelWrapper) -> tuple[ModelWrapper, dict[str, int]]:
    """Return the model without its FIFOs, and the depth that each tensor had; the inverse of insert_fifos."""
    result = ModelWrapper(model.model, make_deepcopy=True)
    outputs = {value.name for value in result.graph.output}
    depths: dict[str, int] = {}
    for node in [node for node in result.graph.node if node.op_type == FIFO]:
        before, after = node.input[0], node.output[0]
        depth = int(getCustomOp(node).get_nodeattr("depth"))
        if after in outputs:
            producer = result.find_producer(before)
            producer.output[list(producer.output).index(before)] = after
            depths[after] = depth
        else:
            consumer = result.find_consumer(after)
            consumer.input[list(consumer.input).index(after)] = before
            depths[before] = depth
        result.graph.node.remove(node)
    return result, depths


def test_shortcut_is_not_deeper_than_needed(sized: Sized, gauged: GaugedDesign) -> None:
    """No depth below the one chosen that costs less would do."""
    _, depths = remove_fifos(sized.model)
    needed = fewest(gauged, simulate(sized.design, random_frames(sized.model, 5)).interval)
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


def test_gauges_and_fifos_agree(gauged: GaugedDesign, sized: Sized, tmp_path: Path) -> None:
    """A FIFO of the depth that is just enough runs; one beat less dead-locks."""
    running = fewest(gauged, 1e9)
    _, depths = remove_fifos(sized.model)
    frames = random_frames(residual(), 3)
    for depth in (running, running - 1):
        design = designed(residual(), {**dict.fromkeys(depths, 5), SHORTCUT: depth}, tmp_path / str(depth))
        if depth == running:
            np.testing.assert_array_equal(simulate(design, frames).outputs, expected(residual(), frames))
            continue
        with pytest.raises(StallError):
            simulate(design, frames, idle_limit=10_000)


def test_fifos_can_be_inserted_and_removed(sized: Sized) -> None:
    plain, depths = remove_fifos(sized.model)
    assert not plain.get_nodes_by_op_type(FIFO)
    everywhere = {"in": 17, "in_a_win": 33, **depths, plain.graph.output[0].name: 5}
    again, found = remove_fifos(insert_fifos(plain, everywhere, PRICES))
    assert found == everywhere
    assert [(n.name, *n.input, *n.output) for n in again.graph.node] == [
        (n.name, *n.input, *n.output) for n in plain.graph.node
    ]


def test_a_throttled_source_keeps_levels_low(gauged: GaugedDesign) -> None:
    """Unthrottled, everything in front of the slowest node fills; throttled, hardly anything does."""
    deep = [gauge_depth(edge.stream) for edge in gauged.edges]
    free = gauged.run(deep, 5)
    paced = gauged.run(deep, 5, period=free.interval)
    assert paced.interval == pytest.approx(free.interval, rel=0.01)
    assert sum(paced.peaks) < 0.5 * sum(free.peaks)


def test_a_design_that_cannot_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With gauges of no capacity even the first run dead-locks, and the message says where."""
    monkeypatch.setattr("hw.design.top.GAUGE_FRAMES", 0)
    with pytest.raises(FifoError, match=f"{SHORTCUT} .* is full"):
        sized_in(residual(), tmp_path)


def test_a_chain_needs_hardly_any(tmp_path: Path) -> None:
    """Without branches one FIFO of ten beats will do: the smallest shift register, 17 beats of 16 bits."""
    assert sized_in(chain(), tmp_path).design.fifo_bits() <= 17 * 16
