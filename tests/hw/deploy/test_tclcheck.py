# SPDX-License-Identifier: Apache-2.0
"""Faults that a script for Vivado can have, and that tclsh and the recorder show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hw.deploy import tclcheck
from tests.hw.deploy.recorded import RecordedDesign
from tests.hw.deploy.tclcheck import ScriptError
from tests.tools import needs_tclsh

pytestmark = needs_tclsh

MODULE = """\
module stage (
    input ap_clk, ap_rst_n, output in0_V_TREADY, input in0_V_TVALID, input [7:0] in0_V_TDATA,
    input out0_V_TREADY, output out0_V_TVALID, output [7:0] out0_V_TDATA);
endmodule
"""
GOOD = """\
create_project p ./p -part xc7z020clg400-1
add_files -norecurse stage.v
create_bd_cell -type module -reference stage a
create_bd_cell -type module -reference stage b
make_bd_pins_external [get_bd_pins a/ap_clk]
set_property name ap_clk [get_bd_ports ap_clk_0]
make_bd_pins_external [get_bd_pins a/ap_rst_n]
set_property name ap_rst_n [get_bd_ports ap_rst_n_0]
connect_bd_net [get_bd_ports ap_clk] [get_bd_pins b/ap_clk]
connect_bd_net [get_bd_ports ap_rst_n] [get_bd_pins b/ap_rst_n]
connect_bd_intf_net [get_bd_intf_pins a/out0_V] [get_bd_intf_pins b/in0_V]
make_bd_intf_pins_external [get_bd_intf_pins a/in0_V]
make_bd_intf_pins_external [get_bd_intf_pins b/out0_V]
"""


def check(folder: Path, script: str) -> RecordedDesign:
    (folder / "stage.v").write_text(MODULE)
    (folder / "script.tcl").write_text(script)
    return tclcheck.check(tclcheck.run(folder / "script.tcl", folder), folder)


def test_a_good_script(tmp_path: Path) -> None:
    design = check(tmp_path, GOOD)
    assert design.cells == {"a": "stage", "b": "stage"}
    assert len(design.streams) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stage.v", "missing.v", r"missing\.v does not exist"),
        ("-reference stage b", "-reference stages b", "no file of the script defines the module stages"),
        ("[get_bd_pins b/ap_clk]", "[get_bd_pins b/clk]", "b/clk is connected, but stage has no pin clk"),
        ("[get_bd_intf_pins b/in0_V]", "[get_bd_intf_pins b/in1_V]", "stage has no interface in1_V"),
        ("[get_bd_pins b/ap_rst_n]", "[get_bd_pins c/ap_rst_n]", "there is no cell c"),
        ("connect_bd_net [get_bd_ports ap_clk] [get_bd_pins b/ap_clk]\n", "", "b/ap_clk is not connected"),
        ("connect_bd_net [get_bd_ports ap_rst_n] [get_bd_pins b/ap_rst_n]\n", "", "b/ap_rst_n is not connected"),
        ("make_bd_intf_pins_external [get_bd_intf_pins b/out0_V]\n", "", "b/out0_v is not connected"),
        (
            "set_property name ap_clk [get_bd_ports ap_clk_0]\n",
            "",
            "ap_clk is connected, but the design has no such port",
        ),
        ("create_project", "creat_project", "unknown command: creat_project"),
        ("./p", "$folder", 'can\'t read "folder": no such variable'),
        ("-part", "[exec ls", "missing close-bracket"),
    ],
)
def test_planted_faults(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ScriptError, match=message):
        check(tmp_path, GOOD.replace(old, new))


def test_files_of_a_script_without_a_block_design(tmp_path: Path) -> None:
    (tmp_path / "clock.xdc").write_text("")
    design = check(tmp_path, "read_verilog -sv {stage.v stage.v}\nread_xdc -mode out_of_context clock.xdc\n")
    assert [path.name for path in design.files] == ["stage.v", "stage.v", "clock.xdc"]
    with pytest.raises(ScriptError, match=r"other\.xdc does not exist"):
        check(tmp_path, "read_xdc -mode out_of_context other.xdc\n")


def test_no_tclsh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScriptError, match="tclsh is not installed; install it with: sudo apt-get install tcl"):
        check(tmp_path, GOOD)
