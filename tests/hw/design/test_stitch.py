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
from hw.design.design import Design
from hw.design.errors import DesignError
from hw.design.fifos import insert_width_converters
from hw.design.netlist import Netlist
from hw.design.stitch import edges, stitch
from hw.rtlsim import xsi
from hw.rtlsim.whole import simulate
from tests.hw.design.graphs import CLOCK_NS, PART, Network, chain, expected, random_frames, with_hdl

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
    return with_hdl(chain(), {"in": 2, "in_win": 17, "in_act_act": 40}, tmp_path_factory.mktemp("nodes"))


@pytest.fixture(scope="module")
def design(model: ModelWrapper, tmp_path_factory: pytest.TempPathFactory) -> Design:
    return stitch(model, tmp_path_factory.mktemp("design"), PART, CLOCK_NS)


@pytest.fixture
def inner(tmp_path: Path) -> Netlist:
    """Two instances of `inner` in a hierarchy, described as FINN's nodes describe themselves."""
    source = tmp_path / "inner.sv"
    source.write_text(INNER)
    block = Netlist()
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


def test_hierarchies_are_flattened(inner: Netlist) -> None:
    inner.connect_stream("node/second/b", "m")
    text = inner.verilog("top")
    assert "inner #(.W(16)) node__first (" in text
    assert ".a_TDATA(s_TDATA)" in text
    assert ".a_TDATA(node__first__b_tdata)" in text
    assert ".b_tready(node__second__a_TREADY)" in text
    assert text.count(".clk(clk)") == 2
    assert ".unused({3{1'b0}})" in text
    assert "assign m_TDATA = node__second__b_tdata;" in text


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (
            ("node/second/b", "node/first/a"),
            "2 drivers for the net of node/second/b_tdata, s_tdata, node/first/a_tdata",
        ),
        (("node/third/b", "m"), "no cell node/third"),
        (("node/second/c", "m"), "no port node/second/c"),
        (("node/second/a", "m"), "2 drivers for the net of node/first/b_tready, node/second/a_tready, m_tready"),
    ],
)
def test_wrong_connections_are_refused(inner: Netlist, ends: tuple[str, str], message: str) -> None:
    inner.connect_stream(*ends)
    with pytest.raises(DesignError, match=message):
        inner.verilog("top")


def test_different_widths_are_refused(inner: Netlist) -> None:
    inner.run(["set_property CONFIG.W 8 [get_bd_cells node/second]"])
    inner.connect_stream("node/second/b", "m")
    with pytest.raises(DesignError, match=r"8 bits, its driver .* has 16|16 bits, its driver .* has 8"):
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
def test_unknown_commands_are_refused(inner: Netlist, command: str) -> None:
    with pytest.raises(DesignError):
        inner.run([command])


def test_a_module_without_source_is_named() -> None:
    block = Netlist()
    block.add_cell("node", "missing")
    with pytest.raises(DesignError, match="no source defines module missing"):
        block.verilog("top")


def test_missing_width_converter_is_found() -> None:
    with pytest.raises(DesignError, match="insert a StreamingDataWidthConverter"):
        edges(chain())


def test_fan_out_without_duplication_is_found() -> None:
    network = Network(4, 2)
    model = network.model(network.add(network.input, network.input))
    with pytest.raises(DesignError, match="has 2 consumers"):
        edges(model)


def chain_with_converters() -> ModelWrapper:
    return insert_width_converters(chain(), PART)


def test_node_without_hdl_is_named(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="run PrepareIP"):
        stitch(chain_with_converters(), tmp_path / "design", PART, CLOCK_NS)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_chain_is_exact(design: Design, model: ModelWrapper, stall: float) -> None:
    frames = random_frames(model, 4)
    result = simulate(design, frames, stall_in=stall, stall_out=stall, seed=5)
    np.testing.assert_array_equal(result.outputs, expected(model, frames))


def test_interval_is_that_of_the_slowest_node(design: Design, model: ModelWrapper) -> None:
    result = simulate(design, random_frames(model, 6))
    slowest = max(getCustomOp(node).get_exp_cycles() for node in model.graph.node)
    assert slowest <= result.interval <= 1.05 * slowest
    assert result.latency > result.interval
    assert result.frame_ends.shape == (6,)


def test_finn_simulates_the_stitched_design(design: Design, model: ModelWrapper) -> None:
    """Through FINN's own execute_onnx."""
    xsi.install()
    model = ModelWrapper(model.model, make_deepcopy=True)
    xsi.describe_to_finn(model, design)
    frame = random_frames(model, 1)
    source, sink = model.graph.input[0].name, model.graph.output[0].name
    output = execute_onnx(model, {source: frame.astype(np.float32)})[sink]
    np.testing.assert_array_equal(output, expected(model, frame))
    assert int(model.get_metadata_prop("cycles_rtlsim")) > 0


def test_equal_nodes_share_a_module(design: Design) -> None:
    """Both convolutions pad alike, with one module; their weights differ, so there are two products."""
    modules = {node.name: node.module for node in design.nodes}
    assert modules["FMPadding_rtl_0"] == modules["FMPadding_rtl_1"]
    assert modules["MVAU_rtl_0"] != modules["MVAU_rtl_1"]


def test_modules_are_named_by_their_content(design: Design, tmp_path: Path) -> None:
    """Made again elsewhere, every file has the same name and text: caches know it."""
    again = stitch(with_hdl(chain(), {"in": 2, "in_win": 17, "in_act_act": 40}, tmp_path / "hdl"), tmp_path / "design",
                   PART, CLOCK_NS)  # fmt: skip
    texts = [
        {str(path.relative_to(one.rtl)): path.read_bytes() for path in sorted(one.rtl.rglob("*")) if path.is_file()}
        for one in (design, again)
    ]
    assert texts[1].items() <= texts[0].items()  # where FINN has left its list of files
    assert str(tmp_path) not in "".join(text.decode() for text in texts[1].values())


def test_a_design_is_what_its_folder_says(design: Design, tmp_path: Path) -> None:
    assert Design.load(design.folder) == design
    assert {path.name for path in design.sources()} == {path.name for path in design.rtl.glob("*.*v")}
    with pytest.raises(DesignError, match="holds no design"):
        Design.load(tmp_path)


def test_frames_of_the_wrong_shape_are_refused(design: Design) -> None:
    with pytest.raises(ValueError, match="do not fit the input"):
        simulate(design, np.zeros((1, 3, 3, 4)))
