# SPDX-License-Identifier: Apache-2.0
"""Cores of a block design that are no Verilog modules of ours: their pins, and which of them have to be connected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.hw.deploy.recorded import Kind, RecordedDesign

# Vivado's own cores as FINN's shell sets them up: interfaces; pins; pins that may stay open. "M##" is one for each of
# the core's NUM_MI masters, "S##" of its NUM_SI slaves.
_VIVADO: Mapping[str, tuple[str, str, str]] = {
    "processing_system7": ("M_AXI_GP0 S_AXI_HP0", "FCLK_CLK0 FCLK_RESET0_N M_AXI_GP0_ACLK S_AXI_HP0_ACLK", ""),
    "zynq_ultra_ps_e": (
        "M_AXI_HPM0_FPD S_AXI_HP0_FPD",
        "pl_clk0 pl_resetn0 maxihpm0_fpd_aclk saxihp0_fpd_aclk",
        "",
    ),
    "axi_interconnect": ("S00_AXI M##_AXI", "ACLK ARESETN S00_ACLK S00_ARESETN M##_ACLK M##_ARESETN", ""),
    "smartconnect": ("S##_AXI M00_AXI", "aclk aresetn", ""),
    "clk_wiz": ("", "clk_in1 resetn clk_out1 locked", ""),
    "proc_sys_reset": (
        "",
        "slowest_sync_clk ext_reset_in dcm_locked interconnect_aresetn peripheral_aresetn",
        "aux_reset_in mb_debug_sys_rst mb_reset bus_struct_reset peripheral_reset",
    ),
}
_TOOLS_OWN = ("sim_finish",)
"""Ports of FINN's kernels that are for simulations only."""


@dataclass(frozen=True)
class Core:
    """What a cell is connected by.

    Attributes:
        names: of its pins and interfaces, as they are written, each with its kind.
        needed: those of them that have to be connected.
        repository: folder where Vivado has to look for the core; None where it need not be told.
    """

    names: Mapping[str, Kind]
    needed: frozenset[str]
    repository: Path | None = None

    def has_interface(self, name: str) -> bool:
        """Whether it has an interface that is written so."""
        return self.names.get(name) == "interface"


def of_vivado(vlnv: str, sizes: Mapping[str, int]) -> Core | None:
    """A core that Vivado brings; None for others."""
    library, _, name = vlnv.partition(":ip:")
    known = _VIVADO.get(name.partition(":")[0]) if library == "xilinx.com" else None
    if known is None:
        return None
    interfaces, pins, optional = ([pin for name in names.split() for pin in _each(name, sizes)] for names in known)
    return Core(named(interfaces, [*pins, *optional]), frozenset([*interfaces, *pins]))


def named(interfaces: Iterable[str], pins: Iterable[str]) -> dict[str, Kind]:
    """The names of a core's interfaces and pins, each with its kind."""
    kinds: dict[str, Kind] = dict.fromkeys(pins, "pin")
    kinds.update(dict.fromkeys(interfaces, "interface"))
    return kinds


def _each(name: str, sizes: Mapping[str, int]) -> list[str]:
    count = sizes.get(f"NUM_{name[0]}I", 1) if "##" in name else 1
    return [name.replace("##", f"{index:02d}") for index in range(count)]


def of_kernel(design: RecordedDesign, repository: Path) -> Core:
    """A block design that was packaged as a core."""
    return Core(dict(design.ports), frozenset(design.ports) - {*_TOOLS_OWN}, repository)


def of_hls(source: str, repository: Path) -> Core:
    """A core that Vitis HLS makes of a function: its pins follow from the pragmas in the source."""
    streams = re.findall(r"#pragma HLS INTERFACE axis port=(\w+)", source)
    memories = ["m_axi_gmem"] if re.search(r"#pragma HLS INTERFACE m_axi ", source) else []
    controls = [f"s_axi_{bundle}" for bundle in re.findall(r"#pragma HLS INTERFACE s_axilite .*bundle=(\w+)", source)]
    names = named([*streams, *memories, *controls], ["ap_clk", "ap_rst_n", "interrupt"])
    return Core(names, frozenset(names) - {"interrupt"}, repository)
