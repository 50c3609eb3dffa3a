# SPDX-License-Identifier: Apache-2.0
"""Stitching: the block-design interpreter, the wiring checks, a stitched chain against Python execution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw import finn_env
from hw.ops.generation import generate
from hw.rtlsim import xsi
from hw.rtlsim.blockdesign import BlockDesign, StitchError
from hw.rtlsim.fifo import insert_fifos, insert_width_converters
from hw.rtlsim.stitch import StitchedDesign, edges, stitch
from hw.rtlsim.stitched import simulate
from tests.hw.rtlsim.graphs import CLOCK_NS, PART, Network, chain, expected, random_frames

INNER = """
module inner #(parameter W = 8) (
  input clk, input [W-1:0] a_TDATA, input a_TVALID, output a_TREADY,
  output [W-1:0] b_tdata, output b_tvalid, input b_tready, input [2:0] unused
);
endmodule
"""


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelWrapper:
    """Two convolutions with width converters, and FIFOs at the borders and in the middle."""
    converted = insert_width_converters(chain(), PART)
    fifos = insert_fifos(converted, {"in": 2, "in_win": 17, "in_act_act": 40})
    return generate(fifos, PART, CLOCK_NS, tmp_path_factory.mktemp("nodes"))


@pytest.fixture(scope="module")
def design(model: ModelWrapper, tmp_path_factory: pytest.TempPathFactory) -> StitchedDesign:
    return stitch(model, tmp_path_factory.mktemp("stitched"))


@pytest.fixture
def inner(tmp_path: Path) -> BlockDesign:
    """Two instances of `inner` in a hierarchy, described as FINN's nodes describe themselves."""
    source = tmp_path / "inner.sv"
    source.write_text(INNER)
    block = BlockDesign()
    block.add_port("clk", 1, is_output=False)
    block.add_stream_port("s", 16, is_output=False)
    block.add_stream_port("m", 16, is_output=True)
    block.run(
        [
            f"add_files -norecurse {source}",
            "create_bd_cell -type hier node",
            "create_bd_pin -dir I -type clk /node/clk",
            "create_bd_intf_pin -mode Slave -vlnv xilinx.com:interface:axis_rtl:1.0 /node/in0_V",
            "create_bd_cell -type hier -reference inner /node/first",
            "create_bd_cell -type module -reference inner node/second",
            "set_property CONFIG.W {16} [get_bd_cells node/first]",
            "set_property CONFIG.W 16 [get_bd_cells /node/second]",
            "connect_bd_net [get_bd_pins node/clk] [get_bd_pins node/first/clk]",
            "connect_bd_net [get_bd_pins node/clk] [get_bd_pins /node/second/clk]",
            "connect_bd_intf_net [get_bd_intf_pins node/in0_V] [get_bd_intf_pins node/first/a]",
            "connect_bd_intf_net [get_bd_intf_pins node/first/b] [get_bd_intf_pins node/second/a]",
            "save_bd_design",
        ]
    )
    block.connect("clk", "node/clk")
    block.connect_stream("s", "node/in0_V")
    return block


def test_hierarchies_are_flattened(inner: BlockDesign) -> None:
    inner.connect_stream("node/second/b", "m")
    text = inner.verilog("top")
    assert "inner #(.W(16)) node__first (" in text
    assert ".a_TDATA(s_tdata)" in text
    assert ".a_TDATA(node__first__b_tdata)" in text
    assert ".b_tready(node__second__a_TREADY)" in text
    assert text.count(".clk(clk)") == 2
    assert ".unused({3{1'b0}})" in text
    assert "assign m_tdata = node__second__b_tdata;" in text


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (("node/second/b", "node/first/a"), "two ends"),
        (("node/third/b", "m"), "no cell node/third"),
        (("node/second/c", "m"), "no port node/second/c"),
        (("node/second/a", "m"), "two ends"),
    ],
)
def test_wrong_connections_are_refused(inner: BlockDesign, ends: tuple[str, str], message: str) -> None:
    inner.connect_stream(*ends)
    with pytest.raises(StitchError, match=message):
        inner.verilog("top")


def test_different_widths_are_refused(inner: BlockDesign) -> None:
    inner.run(["set_property CONFIG.W 8 [get_bd_cells node/second]"])
    inner.connect_stream("node/second/b", "m")
    with pytest.raises(StitchError, match=r"8 bits, its driver .* has 16|16 bits, its driver .* has 8"):
        inner.verilog("top")


@pytest.mark.parametrize(
    "command",
    [
        "create_ip -name axis_dwidth_converter -module_name x",
        "create_bd_intf_pin -mode Slave -vlnv xilinx.com:interface:aximm_rtl:1.0 /node/s_axilite",
        "set_property -dict [list CONFIG.W {8}] [get_ips x]",
        "connect_bd_net [get_bd_pins node/clk]",
    ],
)
def test_unknown_commands_are_refused(inner: BlockDesign, command: str) -> None:
    with pytest.raises(StitchError):
        inner.run([command])


def test_a_module_without_source_is_named() -> None:
    block = BlockDesign()
    block.add_cell("node", "missing")
    with pytest.raises(StitchError, match="no source defines module missing"):
        block.verilog("top")


def test_missing_width_converter_is_found() -> None:
    with pytest.raises(StitchError, match="insert a StreamingDataWidthConverter"):
        edges(chain())


def test_fan_out_without_duplication_is_found() -> None:
    network = Network(4, 2)
    model = network.model(network.add(network.input, network.input))
    with pytest.raises(StitchError, match="has 2 consumers"):
        edges(model)


def test_node_without_hdl_is_named(tmp_path: Path) -> None:
    with pytest.raises(StitchError, match="run PrepareIP"):
        stitch(chain(), tmp_path)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_chain_is_exact(design: StitchedDesign, model: ModelWrapper, stall: float) -> None:
    frames = random_frames(model, 4)
    result = simulate(design, frames, stall_in=stall, stall_out=stall, seed=5)
    np.testing.assert_array_equal(result.outputs, expected(model, frames))


def test_interval_is_that_of_the_slowest_node(design: StitchedDesign, model: ModelWrapper) -> None:
    result = simulate(design, random_frames(model, 6))
    slowest = max(getCustomOp(node).get_exp_cycles() for node in model.graph.node)
    assert slowest <= result.interval <= 1.05 * slowest
    assert result.latency > result.interval
    assert result.frame_ends.shape == (6,)


def test_finn_simulates_the_stitched_design(design: StitchedDesign, model: ModelWrapper) -> None:
    """Through FINN's own execute_onnx; `design` has set the metadata of `model`."""
    xsi.install()
    frame = random_frames(model, 1)
    source, sink = model.graph.input[0].name, model.graph.output[0].name
    assert model.get_metadata_prop("wrapper_filename") == str(design.wrapper)
    output = execute_onnx(model, {source: frame.astype(np.float32)})[sink]
    np.testing.assert_array_equal(output, expected(model, frame))
    assert int(model.get_metadata_prop("cycles_rtlsim")) > 0


def test_equal_nodes_share_a_module(design: StitchedDesign) -> None:
    """Both convolutions pad alike, with one module; their weights differ, so there are two products."""
    text = design.wrapper.read_text()
    assert text.count("\n  FMPadding_rtl_0 FMPadding_rtl_") == 2
    assert "\n  MVAU_rtl_1 MVAU_rtl_1" in text
    assert not any(path.name == "FMPadding_rtl_1.v" for path in design.sources)


def test_frames_of_the_wrong_shape_are_refused(design: StitchedDesign) -> None:
    with pytest.raises(ValueError, match="do not fit the input"):
        simulate(design, np.zeros((1, 3, 3, 4)))
