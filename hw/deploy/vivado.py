# SPDX-License-Identifier: Apache-2.0
"""Scripts for a machine with Vivado: synthesis of the design on its own, and its packaging as an IP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

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
foreach stream {{{streams}}} {{
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


def write_scripts(
    folder: Path, rtl: Path, sources: Sequence[Path], facts: Mapping[str, object], period_ns: float
) -> None:
    """Write ooc.tcl, clock.xdc, package_ip.tcl and a README.

    Args:
        folder: where they go; `rtl` lies beside it.
        rtl: folder of the sources.
        sources: in the order in which they have to be read.
        facts: network, board, part, platform, top.
        period_ns: of the clock.
    """
    folder.mkdir()
    names = " ".join(str(path.relative_to(rtl)) for path in sources)
    memories = " ".join(sorted(str(path.relative_to(rtl)) for path in (rtl / "rom").iterdir()))
    streams = "s_axis_0 m_axis_0"
    vitis = ", and Vitis with the card's platform and XRT" if facts["platform"] == "alveo" else ""
    (folder / "ooc.tcl").write_text(OOC.format(**facts, sources=names))
    (folder / "clock.xdc").write_text(CLOCK.format(period=period_ns))
    (folder / "package_ip.tcl").write_text(
        PACKAGE_IP.format(**facts, sources=names, memories=memories, streams=streams)
    )
    (folder / "README").write_text(README.format(**facts, versions=VERSIONS, vitis=vitis))
