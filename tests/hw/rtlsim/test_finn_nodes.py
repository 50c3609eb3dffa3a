# SPDX-License-Identifier: Apache-2.0
"""FINN's own RTL nodes on Verilator, over what FINN can generate: values, cycles, several frames, stalls, resets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from finn.util.basic import getHWCustomOp
from qonnx.core.modelwrapper import ModelWrapper

from hw import finn_env
from hw.design import finnlib
from hw.rtlsim import xsi
from hw.rtlsim.stress import check
from hw.streams.sim import Simulation, SimulationError, StallError
from tests.hw.rtlsim.finn_nodes import beats_of, check_node, execute, node_model, prepare, random_inputs, random_values

OVERHEAD = 40
"""Cycles that filling a node's pipeline may take beyond FINN's estimate."""


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


def padding(size: tuple[int, int], around: list[int], channels: int, simd: int, datatype: str = "INT4") -> ModelWrapper:
    top, left, bottom, right = around
    return node_model(
        "FMPadding_rtl", (1, *size, channels), (1, size[0] + top + bottom, size[1] + left + right, channels),
        datatype, datatype, ImgDim=list(size), Padding=around, NumChannels=channels, SIMD=simd, inputDataType=datatype,
    )  # fmt: skip


def window(
    size: tuple[int, int], kernel: tuple[int, int], *, channels: int = 4, simd: int = 2, stride: int = 1,
    dilation: int = 1, parallel: int = 0, depthwise: int = 0, datatype: str = "INT4", **more: Any,
) -> ModelWrapper:  # fmt: skip
    out = [(i - dilation * (k - 1) - 1) // stride + 1 for i, k in zip(size, kernel, strict=True)]
    return node_model(
        "ConvolutionInputGenerator_rtl", (1, *size, channels), (1, *out, kernel[0] * kernel[1] * channels),
        datatype, datatype, ConvKernelDim=list(kernel), IFMChannels=channels, IFMDim=list(size), OFMDim=out, SIMD=simd,
        Stride=[stride, stride], Dilation=[dilation, dilation], inputDataType=datatype, outputDataType=datatype,
        parallel_window=parallel, depthwise=depthwise, **more,
    )  # fmt: skip


def thresholds(
    taken: str, given: str, *, channels: int = 6, pe: int = 2, rows: int = 6, low: int = 0, steps: int | None = None,
    **more: Any,
) -> ModelWrapper:  # fmt: skip
    """`low`: the output below the first threshold."""
    bits = int(given.strip("UINT"))
    count = steps or 2**bits - 1
    bounds = (-90, 90) if taken.startswith("INT") else (0, 180)
    values = np.sort(np.random.default_rng(2).integers(*bounds, (rows, count)), axis=1)
    kind = "INT9" if taken.startswith("INT") else "UINT8"
    return node_model(
        "Thresholding_rtl", (1, 3, 3, channels), (1, 3, 3, channels), taken, given, {"steps": (values, kind)},
        NumChannels=channels, PE=pe, numSteps=count, ActVal=low, numInputVectors=[1, 3, 3],
        inputDataType=taken, weightDataType=kind, outputDataType=given, **more,
    )  # fmt: skip


def converter(in_width: int, out_width: int) -> ModelWrapper:
    shape = [1, 3, 3, 12]
    return node_model(
        "StreamingDataWidthConverter_rtl", tuple(shape), tuple(shape), "INT4", "INT4",
        inShape=shape, outShape=shape, inWidth=in_width, outWidth=out_width, dataType="INT4",
    )  # fmt: skip


def product(bits: int, taken: str, *, pe: int = 2, simd: int = 4, mw: int = 12, mh: int = 4) -> ModelWrapper:
    weights = np.random.default_rng(3).integers(1 - 2 ** (bits - 1), 2 ** (bits - 1), (mw, mh))
    kind = f"INT{bits}"
    return node_model(
        "MVAU_rtl", (1, 3, 3, mw), (1, 3, 3, mh), taken, "INT24", {"weights": (weights, kind)},
        MW=mw, MH=mh, PE=pe, SIMD=simd, noActivation=1, ActVal=0, binaryXnorMode=0, numInputVectors=[1, 3, 3],
        mem_mode="internal_decoupled", inputDataType=taken, weightDataType=kind, outputDataType="INT24",
        accDataType="INT24",
    )  # fmt: skip


def queue(depth: int) -> ModelWrapper:
    shape = {"folded_shape": [1, 8, 8, 6, 2], "normal_shape": [1, 8, 8, 12], "dataType": "INT4"}
    return node_model("StreamingFIFO_rtl", (1, 8, 8, 12), (1, 8, 8, 12), "INT4", "INT4", depth=depth, **shape)


NODES: dict[str, Callable[[], ModelWrapper]] = {
    "padding on one side": lambda: padding((3, 5), [0, 2, 0, 0], 6, 3),
    "padding of bits": lambda: padding((4, 4), [1, 1, 1, 1], 8, 8, "BINARY"),
    "padding, one channel a beat": lambda: padding((2, 3), [2, 1, 1, 3], 3, 1, "UINT8"),
    "window": lambda: window((6, 7), (3, 3)),
    "window of one pixel": lambda: window((4, 4), (1, 1), stride=2),
    "window, all channels": lambda: window((5, 5), (2, 3), simd=4),
    "window, stride": lambda: window((9, 9), (3, 3), stride=2),
    "window, dilation": lambda: window((8, 8), (3, 3), dilation=2),
    "window, depthwise": lambda: window((6, 6), (3, 3), depthwise=1),
    "window, depthwise, stride": lambda: window((6, 6), (2, 2), depthwise=1, simd=4, stride=2),
    "window, parallel": lambda: window((6, 6), (3, 3), simd=4, parallel=1),
    "window, parallel, stride": lambda: window((7, 7), (3, 3), simd=4, parallel=1, stride=2),
    "window, parallel, dilation": lambda: window((8, 8), (3, 3), simd=4, parallel=1, dilation=2, datatype="BINARY"),
    "window in block RAM": lambda: window((6, 6), (3, 3), simd=4, parallel=1, ram_style="block"),
    "window of a size set at run time": lambda: window((6, 6), (3, 3), depthwise=1, dynamic_mode=1),
    "thresholds, signed": lambda: thresholds("INT8", "INT3", low=-4),
    "thresholds, unsigned": lambda: thresholds("UINT8", "UINT3"),
    "thresholds, one row for all": lambda: thresholds("INT8", "UINT2", rows=1),
    "thresholds, one bit": lambda: thresholds("INT8", "UINT1", pe=6),
    "thresholds, writable": lambda: thresholds("INT8", "UINT2", runtime_writeable_weights=1),
    "thresholds in block RAM": lambda: thresholds("INT8", "INT3", low=-4, depth_trigger_bram=1),
    "widen": lambda: converter(4, 12),
    "widen by a half": lambda: converter(16, 24),
    "narrow by a third": lambda: converter(24, 16),
    "narrow": lambda: converter(48, 8),
    "4-bit product": lambda: product(4, "INT4"),
    "4-bit product, one by one": lambda: product(4, "UINT4", pe=1, simd=1),
    "8-bit product": lambda: product(8, "INT8", pe=4),
    "8-bit product of pixels": lambda: product(8, "UINT8", simd=6),
}


@pytest.mark.parametrize("name", NODES)
def test_rtl_equals_python_whatever_happens(name: str) -> None:
    """Undisturbed, and then two frames back to back with stalls after a frame that a reset broke off."""
    model = prepare(NODES[name]())
    node = model.graph.node[0]
    source = node.input[0]
    value = random_values(model.get_tensor_datatype(source).name, tuple(model.get_tensor_shape(source)), seed=5)
    tensors = {source: value, node.output[0]: execute(model, "cppsim", value)}
    result = check_node(model, node, tensors)
    assert result.difference is None, str(result.difference)
    if result.expected_cycles:  # FINN has no estimate for its width converter
        assert result.expected_cycles * 0.9 - OVERHEAD <= result.cycles <= result.expected_cycles * 1.05 + OVERHEAD


def test_cycles_are_the_same_every_time() -> None:
    """What FINN stores as cycles_rtlsim, measured here once and for all: a beat more or less is another simulator."""
    measured = {}
    for name in ("padding on one side", "window, stride", "8-bit product"):
        model = prepare(NODES[name]())
        source = model.graph.input[0].name
        execute(
            model,
            "rtlsim",
            random_values(model.get_tensor_datatype(source).name, tuple(model.get_tensor_shape(source))),
        )
        measured[name] = getHWCustomOp(model.graph.node[0]).get_nodeattr("cycles_rtlsim")
    assert measured == {"padding on one side": 44, "window, stride": 316, "8-bit product": 37}


@pytest.mark.parametrize("name", ["padding on one side", "window, stride", "thresholds, writable", "4-bit product"])
def test_finns_own_engine_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """FINN's own loop over cycles, in Python, on the same library: outputs and cycles."""
    from finn_xsi import adapter  # there is only with hw.rtlsim.xsi what it imports

    model = prepare(NODES[name]())
    results = []
    for module in (xsi, adapter):
        monkeypatch.setattr("finn.xsi.reset_rtlsim", module.reset_rtlsim)
        monkeypatch.setattr("finn.xsi.rtlsim_multi_io", module.rtlsim_multi_io)
        output = execute(model, "rtlsim", random_inputs(model))
        results.append((output.tolist(), getHWCustomOp(model.graph.node[0]).get_nodeattr("cycles_rtlsim")))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("node", "inputs", "ratio"),
    [
        (lambda: thresholds("INT8", "INT3", low=-4), ["in0_V"], 1),
        (lambda: thresholds("UINT8", "UINT3", channels=1, pe=1, rows=1), ["in0_V"], 1),
        (lambda: product(8, "INT8", pe=4), ["in0_V", "in1_V"], 3),
        (lambda: queue(2000), ["in0_V"], 1),
    ],
    ids=["thresholds", "thresholds of one channel", "product", "FIFO in block RAM"],
)
def test_what_is_patched_for_speed_keeps_every_cycle(
    node: Callable[[], ModelWrapper], inputs: list[str], ratio: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stalls, beside the file as it comes; `ratio`: input beats for one of the output."""
    runs = []
    for kinds in (finnlib.SIMULATION, ("read", "model")):
        monkeypatch.setattr("hw.rtlsim.xsi.SIMULATION", kinds)
        with getHWCustomOp(prepare(node()).graph.node[0]).get_rtlsim() as simulation:
            random, widths = np.random.default_rng(0), {port.name: port.bytes_per_beat for port in simulation.ports}
            beats = {name: random.integers(0, 256, (3000, widths[name]), dtype=np.uint8) for name in inputs}
            simulation.reset()
            runs.append(simulation.run(beats, {"out0_V": 3000 // ratio}, stall_in=0.2, stall_out=0.3))
    faster, plain = runs
    np.testing.assert_array_equal(faster.outputs["out0_V"], plain.outputs["out0_V"])
    np.testing.assert_array_equal(faster.out_cycles["out0_V"], plain.out_cycles["out0_V"])
    for name in inputs:
        np.testing.assert_array_equal(faster.in_cycles[name], plain.in_cycles[name])


@pytest.mark.parametrize("depth", [2, 33, 300])
def test_fifos_bear_stalls(depth: int) -> None:
    model = prepare(queue(depth))
    node = getHWCustomOp(model.graph.node[0])
    beats = beats_of(random_values("INT4", (384, 2)), node.get_input_datatype())
    with node.get_rtlsim() as simulation:
        check(simulation, {"in0_V": beats}, {"out0_V": beats})


def test_writable_thresholds_can_be_written() -> None:
    """Through AXI lite, as FINN's own file for the driver lays them out: here all of them become unreachable."""
    model = prepare(thresholds("INT8", "UINT2", channels=2, pe=2, rows=2, runtime_writeable_weights=1))
    node = getHWCustomOp(model.graph.node[0])
    value = np.full((1, 3, 3, 2), 100, dtype=np.float32)
    assert (execute(model, "rtlsim", value) == 3).all()
    beats = beats_of(value.reshape(9, 2), node.get_input_datatype())
    with node.get_rtlsim() as simulation:
        simulation.reset()
        for address in range(8):
            write(simulation, 4 * address, 127)
        result = simulation.run({"in0_V": beats}, {"out0_V": 9})
    np.testing.assert_array_equal(result.outputs["out0_V"], np.zeros((9, 1)))


def test_hooks_take_part_as_in_finn() -> None:
    """Thresholds written and read over AXI lite by what FINN calls a hook, and a stream that is traced meanwhile."""
    model = prepare(thresholds("INT8", "UINT2", channels=2, pe=2, rows=2, runtime_writeable_weights=1))
    node = getHWCustomOp(model.graph.node[0])
    beats = [
        int.from_bytes(beat.tobytes(), "little") for beat in beats_of(np.full((9, 2), 100), node.get_input_datatype())
    ]
    with node.get_rtlsim() as simulation:
        node.reset_rtlsim(simulation)
        simulation.write_axilite("s_axilite", iter([(4 * address, f"{100 + address:x}") for address in range(8)]))
        assert simulation.run() == []
        replies = simulation.read_axilite("s_axilite", iter([0, 8, 24]))
        simulation.run()
        assert [int(replies[address], 16) for address in (0, 8, 24)] == [100, 102, 106]
        trace = simulation.trace_stream("in0_V")
        io = {"inputs": {"in0": beats}, "outputs": {"out0": []}}
        node.rtlsim_multi_io(simulation, io)
    assert set(io["outputs"]["out0"]) == {0b0001}  # of 100 to 102 and 104 to 106, one is not above 100
    assert len(trace.trace) == node.get_nodeattr("cycles_rtlsim")
    assert trace.trace.count("1") == 9


def write(simulation: Simulation, address: int, word: int) -> None:
    """One word over AXI lite."""
    settings = {"AWVALID": 1, "AWADDR": address, "WVALID": 1, "WDATA": word, "WSTRB": 15, "BREADY": 1}
    for name, value in settings.items():
        simulation.poke(f"s_axilite_{name}", value)
    simulation.idle(1)
    for name in ("AWVALID", "WVALID"):
        simulation.poke(f"s_axilite_{name}", 0)
    simulation.idle(4)


@pytest.mark.parametrize("simd", [12, 6])
def test_products_with_a_result_every_cycle_overflow(simd: int) -> None:
    """Why `fold` never chooses SIMD = MW: if this passes no more, FINN's queue has become long enough."""
    model = prepare(product(4, "INT4", simd=simd, pe=4))
    with getHWCustomOp(model.graph.node[0]).get_rtlsim() as simulation:
        random = np.random.default_rng(0)
        inputs = {
            stream.name: random.integers(0, 256, (100, stream.bytes_per_beat), dtype=np.uint8)
            for stream in simulation.ports
            if stream.direction == "in"
        }
        simulation.reset()
        blocked = pytest.raises(StallError) if simd < 12 else pytest.raises(SimulationError, match="Overflowing output")
        with blocked:
            simulation.run(inputs, {}, idle_limit=50)
