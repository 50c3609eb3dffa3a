# SPDX-License-Identifier: Apache-2.0
"""Resources of a dataflow design, node by node.

Each node is synthesised alone, as it stands in the design: its unused configuration ports tied to zero, its
unused monitoring ports open. The design is the sum of its nodes, since the top holds nothing but wires
between them. That is an upper bound: nothing is simplified across the border of two nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.rtlsim.blockdesign import BlockDesign
from hw.synth import yosys
from hw.synth.resources import Resources


@dataclass(frozen=True)
class DesignResources:
    """What a design takes: of each node by name, and in total; ``tool`` counted it."""

    tool: str
    nodes: Mapping[str, Resources]

    @property
    def total(self) -> Resources:
        """The sum over the nodes."""
        return Resources.total(self.nodes.values())


def synthesise_design(
    model: ModelWrapper,
    family: yosys.Family,
    out_dir: Path,
    *,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DesignResources:
    """Synthesise every node of a partition, FIFOs and width converters included.

    Args:
        model: partition of RTL nodes with generated HDL; it is not changed.
        family: Xilinx family of the board.
        out_dir: folder of the modules that are written around the nodes.
        workers: processes at the same time, about 500 MB each.
        cache_dir: folder of results; see `hw.synth.yosys.default_cache_dir`.
        progress: called with the number of different nodes that are done, and of all.

    Raises:
        SynthesisError: no Yosys, or a node that it cannot synthesise.
        StitchError: a node whose parts do not fit together.
        PatchError: a file of finn-rtllib is not the one that is patched.
        OSError: a source cannot be read, or a folder cannot be written.
    """
    nodes = node_modules(model, out_dir)
    found = yosys.synthesise_all(nodes, family, workers=workers, cache_dir=cache_dir, progress=progress)
    return DesignResources(yosys.tool(), found)


def node_modules(model: ModelWrapper, out_dir: Path) -> dict[str, yosys.Module]:
    """Write a module around each node below ``out_dir``, with clock, reset and streams as its only ports.

    Returns:
        The modules by the nodes' names, in graph order.

    Raises:
        StitchError: a node whose parts do not fit together.
        OSError: a file cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    return {node.name: _node_module(node.name, getCustomOp(node), out_dir) for node in model.graph.node}


def _node_module(name: str, operator: Any, out_dir: Path) -> yosys.Module:
    design = BlockDesign()
    design.run(operator.code_generation_ipi())
    for pin in ("ap_clk", "ap_rst_n"):
        design.add_port(pin, 1, is_output=False)
        design.connect(pin, f"{name}/{pin}")
    interfaces = operator.get_verilog_top_module_intf_names()
    for kind, is_output in (("s_axis", False), ("m_axis", True)):
        for stream, width in interfaces[kind]:
            port = f"stream_{stream}"
            design.add_stream_port(port, width, is_output=is_output)
            ends = (f"{name}/{stream}", port) if is_output else (port, f"{name}/{stream}")
            design.connect_stream(*ends)
    top = f"{name}_alone"
    wrapper = out_dir / f"{top}.v"
    wrapper.write_text(design.verilog(top))
    modules = tuple(cell.module for cell in design.cells.values())
    return yosys.Module(top, (*design.sources, wrapper), names=(name, *modules))
