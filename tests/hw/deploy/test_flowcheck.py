# SPDX-License-Identifier: Apache-2.0
"""FINN's scripts for every operator, and faults planted into those of its flows to the bitfile of a single node."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from finn.transformation.fpgadataflow.create_stitched_ip import CreateStitchedIP
from qonnx.core.modelwrapper import ModelWrapper

from flows.config import BuildConfig
from flows.pipeline import Context
from flows.steps import bitfile
from hw import finn_env
from hw.boards.board import load
from hw.design.generate import generate_hdl
from hw.transforms.specialise import specialise
from tests.hw.deploy import fake_tools, flowcheck
from tests.hw.deploy.tclcheck import ScriptError
from tests.hw.ops import nodes
from tests.tools import needs_tclsh

pytestmark = needs_tclsh

CLOCK_NS = 10.0


def product() -> ModelWrapper:
    """FINN's matrix product, whose weights come from a memory of their own: a hierarchy of two cells."""
    weights = np.random.default_rng(0).integers(-7, 8, (12, 4))
    return nodes.product(weights, ("INT4", "INT4", "INT16"), [3], PE=2, SIMD=6, mem_mode="internal_decoupled")


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """FINN's folder; stand-ins for the tools are on PATH."""
    fake_tools.install(monkeypatch, tmp_path / "tools")
    finn_env.setup(tmp_path / "finn")
    return tmp_path / "finn"


@pytest.mark.parametrize("case", ["product", *nodes.CASES])
def test_every_operator(case: str, generated: Path) -> None:
    model = specialise(product() if case == "product" else nodes.CASES[case](), nodes.PART)
    model = generate_hdl(model, nodes.PART, CLOCK_NS, generated)
    model.transform(CreateStitchedIP(nodes.PART, CLOCK_NS))
    flow = flowcheck.check(generated)
    (kernel,) = flow.cores.values()
    streams = len([name for name in kernel.needed if re.fullmatch(r"[sm]_axis_\d+", name)])
    assert streams == len(model.graph.input) + len(model.graph.output)
    assert kernel.needed > {"ap_clk", "ap_rst_n"}


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """FINN's folders after its flows for a Zynq and for an Alveo board."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        fake_tools.install(patch, tmp_path_factory.mktemp("tools"))
        for name in ("pynq-z2", "u250"):
            folder, board = tmp_path_factory.mktemp(name), load(name)
            (folder / "made").mkdir()
            finn_env.setup(folder / "finn")
            model = generate_hdl(specialise(product(), board.part), board.part, board.clock_ns, folder / "rtl")
            context = Context(
                BuildConfig(network="tiny"), board, {"bitfile": folder}, checkpoint=folder, current="bitfile"
            )
            make = bitfile._zynq if board.shell == "zynq-iodma" else bitfile._vitis
            make(context, model, folder / "made")
            folders[name] = folder / "finn"
    return folders


def test_flows_without_a_fault(flows: dict[str, Path]) -> None:
    zynq, alveo = flowcheck.check(flows["pynq-z2"]), flowcheck.check(flows["u250"])
    assert (zynq.scripts, alveo.scripts) == (6, 9)
    assert len(alveo.objects) == 3
    # clock, resets, interconnects and processor of the shell
    assert zynq.cells == alveo.cells + 8


KERNEL, SHELL = ("pynq-z2", "make_project.tcl"), ("pynq-z2", "ip_config.tcl")
HLS, OBJECT, LINK = ("pynq-z2", "hls_syn_*.tcl"), ("u250", "gen_xo.tcl"), ("u250", "config.txt")


@pytest.mark.parametrize(
    ("place", "old", "new", "message"),
    [
        (KERNEL, r"memstream_wrapper\.v", "memstream.v", r"memstream\.v does not exist"),
        (KERNEL, r"wstrm/m_axis_0\]", "wstrm/m_axis]", "has no interface m_axis"),
        (KERNEL, r"connect_bd_intf_net .*wstrm/m_axis_0.*\n", "", "is not connected"),
        (KERNEL, r"connect_bd_net .*wstrm/ap_clk\]\n", "", "wstrm/ap_clk is not connected"),
        (KERNEL, r"connect_bd_net .*wstrm/ap_rst_n\]\n", "", "wstrm/ap_rst_n is not connected"),
        (KERNEL, r"connect_bd_net .*_0/ap_clk2x\]\n", "", "ap_clk2x is not connected"),
        (KERNEL, r"create_bd_intf_pin .*/out0_V\n", "", "has no interface out0_V"),
        (KERNEL, r"connect_bd_intf_net .*/in0_V\].*/in0_V\]\n", "", "in0_[vV] is not connected"),
        (KERNEL, r"make_bd_intf_pins_external .*/out0_V\]\n.*\n", "", "out0_V is not connected"),
        (KERNEL, r"set_property name m_axis_0 .*\n", "", "m_axis_0 is connected, but .* has no interface m_axis_0"),
        (KERNEL, r"update_ip_catalog", "update_catalog", "unknown command: update_catalog"),
        (SHELL, r"idma0/m_axi_gmem0", "idma0/m_axi_gmem", "has no interface m_axi_gmem"),
        (SHELL, r"smartconnect_0/S01_AXI", "smartconnect_0/S02_AXI", "has no interface S02_AXI"),
        (SHELL, r"CONFIG.NUM_MI \$NUM_AXILITE", "CONFIG.NUM_MI 3", "axi_interconnect_0/M02_AXI is not connected"),
        (SHELL, r"clk_wiz_0/locked", "clk_wiz_0/lock", "has no pin lock"),
        (SHELL, r"connect_bd_net .*axi_interconnect_0/M\*_ACLK\]\n", "", "M00_ACLK is not connected"),
        (SHELL, r"connect_bd_net .*idma0/ap_rst_n\].*\n", "", "idma0/ap_rst_n is not connected"),
        (SHELL, r"connect_bd_net .*odma0/ap_clk\].*\n", "", "odma0/ap_clk is not connected"),
        (SHELL, r"connect_bd_intf_net .*odma0/s_axis_0\].*\n", "", "_axis_0 is not connected"),
        (SHELL, r"connect_bd_intf_net .*zynq_ps/S_AXI_HP0\]\n", "", "zynq_ps/S_AXI_HP0 is not connected"),
        (
            SHELL,
            r"connect_bd_intf_net .*idma0/s_axi_control_0\].*\n",
            "",
            "axi_interconnect_0/M00_AXI is not connected",
        ),
        (
            SHELL,
            r"xilinx_finn:finn:StreamingDataflowPartition_0:1.0",
            "a:b:c:1.0",
            "is a a:b:c:1.0, which nothing makes",
        ),
        (SHELL, r"ip_repo_paths \[concat .*", "no_paths {} [current_project]", "does not have Vivado look into"),
        (SHELL, r"\nvalidate_bd_design", r"\nvalidate", "unknown command: validate"),
        (HLS, r"add_files \S+/top_", "add_files /nowhere/top_", "/nowhere/top_.* does not exist"),
        (HLS, r"set_top \S+", "set_top idma", "does not have the function idma"),
        (OBJECT, r"s_axis_0:0x0", "s_axis_1:0x0", "is at s_axis_1, which is no port of it"),
        (OBJECT, r"-ip_directory \S+", "-ip_directory /nowhere", "/nowhere does not hold the kernel"),
        (LINK, r"sc=(\S+)\.m_axis_0", r"sc=\1.m_axis_1", r"m_axis_1 is connected, but no kernel has it"),
        (LINK, r"sc=idma_0.*\n", "", r"(m|s)_axis_0 is connected 0 times"),
        (LINK, r"sp=odma_0.*\n", "", r"odma_0\.m_axi_gmem0 is connected 0 times"),
        (LINK, r"nk=\w+_0:1", "nk=Partition:1", "is a Partition, which is in no object"),
        (("u250", "run_link.sh"), r"\.xo", ".ox.xo", r"ox\.xo does not exist"),
        (("u250", "vitis_gen_report_xml.tcl"), r"prj\.xpr", "project.xpr", r"project\.xpr does not exist"),
    ],
)
def test_planted_faults(flows: dict[str, Path], place: tuple[str, str], old: str, new: str, message: str) -> None:
    """In the first script of a name in which there is something to replace."""
    folder, pattern = flows[place[0]], place[1]
    path, text = next(
        (path, text) for path in sorted(folder.rglob(pattern)) if re.search(old, text := path.read_text())
    )
    try:
        path.write_text(re.sub(old, new, text, count=1))
        with pytest.raises(ScriptError, match=message):
            flowcheck.check(folder)
    finally:
        path.write_text(text)


def test_a_script_that_nobody_knows(flows: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(next(flows["pynq-z2"].rglob("ip_config.tcl")), tmp_path / "other.tcl")
    with pytest.raises(ScriptError, match=r"other\.tcl was not checked"):
        flowcheck.check(tmp_path)
