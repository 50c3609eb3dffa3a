# SPDX-License-Identifier: Apache-2.0
"""FINN's own execute_onnx in rtlsim mode on Verilator: every node type the network uses equals its Python
execution.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import finn.xsi
import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim as FinnPrepareRTLSim
from finn.util import data_packing
from finn.util.basic import getHWCustomOp
from qonnx.core.modelwrapper import ModelWrapper

from hw import finn_env
from hw.rtlsim import finn_packing, xsi
from hw.rtlsim.compile import build
from hw.streams.sim import Simulation, StallError
from tests.hw.rtlsim.finn_nodes import (
    CLOCK_NS,
    PART,
    beats_of,
    execute,
    node_model,
    prepare,
    random_values,
    source_files,
)


@pytest.fixture(scope="module", autouse=True)
def finn_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finn")
    finn_env.setup(folder)
    xsi.install()
    return folder


def padding() -> ModelWrapper:
    shape = {"ImgDim": [6, 5], "Padding": [1, 2, 1, 1], "NumChannels": 4, "SIMD": 2, "inputDataType": "INT4"}
    return node_model("FMPadding_rtl", (1, 6, 5, 4), (1, 8, 8, 4), "INT4", "INT4", **shape)


def window(parallel: int, depthwise: int, simd: int, stride: int = 1) -> ModelWrapper:
    size = (8 - 3) // stride + 1
    shape = {
        "ConvKernelDim": [3, 3], "IFMChannels": 4, "IFMDim": [8, 8], "OFMDim": [size, size], "SIMD": simd,
        "Stride": [stride, stride], "Dilation": [1, 1], "inputDataType": "INT4", "outputDataType": "INT4",
    }  # fmt: skip
    out_shape = (1, size, size, 36)
    return node_model(
        "ConvolutionInputGenerator_rtl", (1, 8, 8, 4), out_shape, "INT4", "INT4",
        depthwise=depthwise, parallel_window=parallel, **shape,
    )  # fmt: skip


def thresholding() -> ModelWrapper:
    steps = np.sort(np.random.default_rng(1).integers(-900, 900, (8, 15)), axis=1)
    types = {"inputDataType": "INT11", "weightDataType": "INT11", "outputDataType": "INT4"}
    return node_model(
        "Thresholding_rtl", (1, 5, 5, 8), (1, 5, 5, 8), "INT11", "INT4", {"steps": (steps, "INT11")},
        NumChannels=8, PE=2, numSteps=15, ActVal=-8, numInputVectors=[1, 5, 5], **types,
    )  # fmt: skip


def width_converter(in_width: int, out_width: int) -> ModelWrapper:
    shape = [1, 4, 4, 12]
    return node_model(
        "StreamingDataWidthConverter_rtl", tuple(shape), tuple(shape), "INT4", "INT4",
        inShape=shape, outShape=shape, inWidth=in_width, outWidth=out_width, dataType="INT4",
    )  # fmt: skip


def matrix_vector(bits: int) -> ModelWrapper:
    weights = random_values(f"INT{bits}", (24, 8), 3)
    types = {
        "inputDataType": f"INT{bits}",
        "weightDataType": f"INT{bits}",
        "outputDataType": "INT32",
        "accDataType": "INT32",
    }
    return node_model(
        "MVAU_rtl", (1, 4, 4, 24), (1, 4, 4, 8), f"INT{bits}", "INT32", {"weights": (weights, f"INT{bits}")},
        MW=24, MH=8, PE=4, SIMD=6, noActivation=1, ActVal=0, binaryXnorMode=0, numInputVectors=[1, 4, 4],
        mem_mode="internal_decoupled", **types,
    )  # fmt: skip


def fifo(depth: int = 64) -> ModelWrapper:
    return node_model(
        "StreamingFIFO_rtl", (1, 4, 4, 12), (1, 4, 4, 12), "INT4", "INT4",
        depth=depth, folded_shape=[1, 4, 4, 6, 2], normal_shape=[1, 4, 4, 12], dataType="INT4",
    )  # fmt: skip


NODES: dict[str, Callable[[], ModelWrapper]] = {
    "padding": padding,
    "window": lambda: window(0, 0, 2),
    "window_stride": lambda: window(0, 0, 4, stride=2),
    "window_parallel": lambda: window(1, 0, 4),
    "window_depthwise": lambda: window(0, 1, 2),
    "thresholding": thresholding,
    "widen": lambda: width_converter(8, 24),
    "narrow": lambda: width_converter(48, 8),
    "mvau_4_bit": lambda: matrix_vector(4),
    "mvau_8_bit": lambda: matrix_vector(8),
}


@pytest.mark.parametrize("name", NODES)
def test_rtl_equals_python(name: str) -> None:
    model = prepare(NODES[name]())
    inp = model.graph.input[0].name
    value = random_values(model.get_tensor_datatype(inp).name, tuple(model.get_tensor_shape(inp)), seed=5)
    np.testing.assert_array_equal(execute(model, "rtlsim", value), execute(model, "cppsim", value))
    node = getHWCustomOp(model.graph.node[0])
    expected = node.get_exp_cycles() or 96  # the width converter has no estimate: 96 beats of 8 bits
    assert 0.9 * expected <= node.get_nodeattr("cycles_rtlsim") <= 1.1 * expected + 30


def test_fifo_passes_data_and_counts() -> None:
    """FINN never simulates a FIFO node by itself, so its library is run here."""
    model = prepare(fifo())
    node = getHWCustomOp(model.graph.node[0])
    node.set_nodeattr("exec_mode", "rtlsim")
    value = random_values("INT4", (1, 4, 4, 12))
    context = {model.graph.input[0].name: value}
    RTLBackend.execute_node(node, context, model.graph)
    np.testing.assert_array_equal(context[model.graph.output[0].name], value)
    with node.get_rtlsim() as sim:
        sim.reset()
        beats = beats_of(value.reshape(-1, 2), node.get_input_datatype())
        with pytest.raises(StallError, match="in0_V"):
            sim.run({"in0_V": beats}, {}, idle_limit=10)
        assert sim.peek("maxcount") == 64
        result = sim.run({"in0_V": beats[64:]}, {"out0_V": 96})
        np.testing.assert_array_equal(result.outputs["out0_V"], beats)


def test_a_wrong_threshold_is_seen() -> None:
    """The comparison of the test above can fail: Python execution with one threshold changed."""
    model = prepare(thresholding())
    value = np.zeros((1, 5, 5, 8), dtype=np.float32)
    rtl = execute(model, "rtlsim", value)
    name = model.graph.node[0].input[1]
    steps = model.get_initializer(name).copy()
    steps[3] = -1000
    model.set_initializer(name, steps)
    different = np.argwhere(rtl != execute(model, "cppsim", value))
    assert set(different[:, -1]) == {3}


def test_a_deadlock_names_the_stream() -> None:
    sim = Simulation(build_of(prepare(padding())))
    xsi.reset_rtlsim(sim)
    words = [0] * 59  # one beat less than a frame of 6 x 5 pixels in two beats each
    with pytest.raises(StallError, match=r"out0_V stopped after 109 of 128 beats"):
        xsi.rtlsim_multi_io(
            sim, {"inputs": {"in0": words}, "outputs": {"out0": []}}, 128, sname="_V", liveness_threshold=100
        )


def build_of(model: ModelWrapper) -> Path:
    return build(getHWCustomOp(model.graph.node[0]).get_verilog_top_module_name(), source_files(model))


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    source = tmp_path / "swap.sv"
    source.write_text(
        """\
module swap (
    input logic ap_clk, ap_rst_n,
    input logic [7:0] s_axis_0_tdata, input logic s_axis_0_tvalid, output logic s_axis_0_tready,
    input logic [79:0] s_axis_1_tdata, input logic s_axis_1_tvalid, output logic s_axis_1_tready,
    output logic [79:0] m_axis_0_tdata, output logic m_axis_0_tvalid, input logic m_axis_0_tready,
    output logic [7:0] m_axis_1_tdata, output logic m_axis_1_tvalid, input logic m_axis_1_tready
);
  assign {m_axis_0_tdata, m_axis_0_tvalid, s_axis_1_tready} = {s_axis_1_tdata, s_axis_1_tvalid,
  m_axis_0_tready}; assign {m_axis_1_tdata, m_axis_1_tvalid, s_axis_0_tready} = {s_axis_0_tdata,
  s_axis_0_tvalid, m_axis_1_tready};
endmodule
"""
    )
    base, relative = finn.xsi.compile_sim_obj("swap", [str(source)], tmp_path)
    assert "xsim.dir" in relative.parts and (base / relative).is_file()
    sim = finn.xsi.load_sim_obj(base, relative)
    finn.xsi.reset_rtlsim(sim)
    narrow, wide = [1, 2, 255], [2**80 - 1, 2**64, 0, 5]
    io = {"inputs": {"s_axis_0": narrow, "s_axis_1": wide}, "outputs": {"m_axis_0": [], "m_axis_1": []}}
    finn.xsi.rtlsim_multi_io(sim, io, {"m_axis_0": 4, "m_axis_1": 3}, sname="")
    assert io["outputs"] == {"m_axis_0": wide, "m_axis_1": narrow}
    with pytest.raises(ValueError, match="no input stream s_axis_7"):
        finn.xsi.rtlsim_multi_io(sim, {"inputs": {"s_axis_7": []}, "outputs": {}}, {}, sname="")
    finn.xsi.close_rtlsim(sim)


def test_every_edge_of_the_clock_is_where_finn_has_it(tmp_path: Path) -> None:
    """A design that says how many there were, with reset and without, at each transfer of two runs."""
    from finn_xsi import adapter  # there is only with hw.rtlsim.xsi what it imports

    source = tmp_path / "edges.sv"
    source.write_text(
        """\
module edges (
    input logic ap_clk, ap_rst_n,
    input logic [7:0] in0_V_TDATA, input logic in0_V_TVALID, output logic in0_V_TREADY,
    output logic [15:0] out0_V_TDATA, output logic out0_V_TVALID, input logic out0_V_TREADY
);
  logic [7:0] during = 0, after = 0;
  always_ff @(posedge ap_clk) if (ap_rst_n) after <= after + 1; else during <= during + 1;
  assign out0_V_TDATA = {during, after};
  assign {out0_V_TVALID, in0_V_TREADY} = {in0_V_TVALID, out0_V_TREADY};
endmodule
"""
    )
    base, relative = finn.xsi.compile_sim_obj("edges", [str(source)], tmp_path)
    seen: list[list[int]] = []
    for module in (xsi, adapter):
        with finn.xsi.load_sim_obj(base, relative) as sim:
            module.reset_rtlsim(sim)
            seen.append([])
            for _ in range(2):
                io: dict[str, dict[str, list[int]]] = {"inputs": {"in0": [1, 2, 3]}, "outputs": {"out0": []}}
                cycles = module.rtlsim_multi_io(sim, io, 3, sname="_V")
                seen[-1] += [cycles, *io["outputs"]["out0"]]
    assert seen[0] == seen[1]


def test_what_verilator_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(xsi.UnsupportedError, match="behavioural"):
        finn.xsi.compile_sim_obj("top", [], tmp_path, behav=True)
    with pytest.raises(xsi.UnsupportedError, match="behavioural"):  # not one that FINN passes over
        padding().transform(PrepareIP(PART, CLOCK_NS)).transform(FinnPrepareRTLSim(behav=True, num_workers=1))
    with pytest.raises(xsi.UnsupportedError, match=r"ip\.vhd"):
        finn.xsi.compile_sim_obj("top", ["ip.vhd"], tmp_path)
    with pytest.raises(xsi.UnsupportedError, match="wave"):
        finn.xsi.load_sim_obj(tmp_path, Path("xsimk.so"), "trace.wdb")


def test_a_primitive_of_vivado_is_named(tmp_path: Path) -> None:
    source = tmp_path / "top.sv"
    source.write_text("module top(input logic ap_clk); DSP58 slice(.CLK(ap_clk)); endmodule\n")
    with pytest.raises(xsi.UnsupportedError, match="top instantiates DSP58"):
        finn.xsi.compile_sim_obj("top", [str(source)], tmp_path)


def test_install_reaches_every_module_of_finn() -> None:
    xsi.install()
    from finn.core import rtlsim_exec
    from finn.custom_op.fpgadataflow import matrixvectoractivation, rtlbackend

    for module in (data_packing, rtlsim_exec, rtlbackend):
        assert module.npy_to_rtlsim_input is finn_packing.npy_to_rtlsim_input
        assert module.rtlsim_output_to_npy is finn_packing.rtlsim_output_to_npy
    assert matrixvectoractivation.pack_innermost_dim_as_hex_string is finn_packing.pack_innermost_dim_as_hex_string
    assert finn.xsi.ensure_available()


@pytest.mark.parametrize("method", ["fork", "forkserver"])  # spawn starts its workers as forkserver does
def test_nodes_are_prepared_in_worker_processes(method: str, finn_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepare(padding())
    getHWCustomOp(model.graph.node[0]).set_nodeattr("rtlsim_so", "")
    # qonnx takes the pool from the module; this leaves the start method of the test process as it is.
    monkeypatch.setattr("qonnx.transformation.base.mp", multiprocessing.get_context(method))
    model = model.transform(xsi.PrepareRTLSim(num_workers=2, build_dir=finn_build))
    value = random_values("INT4", (1, 6, 5, 4))
    getHWCustomOp(model.graph.node[0]).set_nodeattr("exec_mode", "rtlsim")
    output = execute_onnx(model, {model.graph.input[0].name: value})[model.graph.output[0].name]
    np.testing.assert_array_equal(output, np.pad(value, ((0, 0), (1, 1), (2, 1), (0, 0))))
