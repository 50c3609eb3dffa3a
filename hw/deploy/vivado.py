# SPDX-License-Identifier: Apache-2.0
"""Scripts for a machine with Vivado: synthesis of the design on its own, and its packaging as an IP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hw.design.design import Design

VERSIONS = "2022.2 or 2024.2"
"""Vivado and Vitis that finn-plus 1.6.1 names; none of them has run here."""

OOC = """\
# SPDX-License-Identifier: Apache-2.0
# vivado -mode batch -source ooc.tcl: the design on its own, placed and routed. Writes reports/ beside this file.
set here [file dirname [file normalize [info script]]]
cd [file join $here .. rtl]
file mkdir [file join $here reports]
read_verilog -sv {{{sources}}}
read_xdc -mode out_of_context [file join $here clock.xdc]
synth_design -top {top} -part {part} -mode out_of_context
opt_design
place_design
route_design
report_utilization -hierarchical -file [file join $here reports utilization.rpt]
report_timing_summary -file [file join $here reports timing.rpt]
write_checkpoint -force [file join $here reports routed.dcp]
"""

CLOCK = """\
create_clock -name ap_clk -period {period:.3f} [get_ports ap_clk]
"""

PACKAGE_IP = """\
# SPDX-License-Identifier: Apache-2.0
# vivado -mode batch -source package_ip.tcl: the design as an IP with two AXI streams, in ip/ beside this file.
set here [file dirname [file normalize [info script]]]
cd [file join $here .. rtl]
create_project -force package_ip [file join $here project] -part {part}
add_files -norecurse {{{sources}}}
add_files -norecurse {{{memories}}}
set_property top {top} [current_fileset]
ipx::package_project -root_dir [file join $here ip] -vendor ir2net -library accelerators -taxonomy /UserIP \\
    -module {top} -import_files
ipx::infer_bus_interfaces xilinx.com:interface:axis_rtl:1.0 [ipx::current_core]
foreach stream {{s_axis_0 m_axis_0}} {{
    ipx::associate_bus_interfaces -busif $stream -clock ap_clk [ipx::current_core]
}}
set_property core_revision 1 [ipx::current_core]
ipx::create_xgui_files [ipx::current_core]
ipx::update_checksums [ipx::current_core]
ipx::save_core [ipx::current_core]
close_project
"""

README = """\
Three commands for a machine with Vivado ({versions}). They were run in tclsh against stand-ins for Vivado's
commands; in Vivado they have not been run.

    vivado -mode batch -source ooc.tcl          # in this folder: place and route on its own; reports/
    vivado -mode batch -source package_ip.tcl   # in this folder: an IP for a block design; ip/
    python flows/build.py --network {network} --board {board} --bitfile   # in the project: FINN's shell and the bitfile

The third needs Vitis HLS as well, for FINN's DMAs{vitis}.
"""


def write_scripts(folder: Path, design: Design, facts: Mapping[str, object]) -> None:
    """Write ooc.tcl, clock.xdc, package_ip.tcl and a README.

    Args:
        folder: where they go; a copy of the design's rtl/ lies beside it.
        design: whose sources and clock they name.
        facts: network, board, part, platform, top.
    """
    texts = {"ooc.tcl": OOC, "clock.xdc": CLOCK, "package_ip.tcl": PACKAGE_IP, "README": README}
    more = {
        "sources": " ".join(path.name for path in design.sources()),
        "memories": " ".join(sorted(f"rom/{path.name}" for path in (design.rtl / "rom").iterdir())),
        "period": design.clock_ns,
        "versions": VERSIONS,
        "vitis": ", and Vitis with the card's platform and XRT" if facts["platform"] == "alveo" else "",
    }
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text.format(**facts, **more))
