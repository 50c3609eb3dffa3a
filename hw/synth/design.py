# SPDX-License-Identifier: Apache-2.0
"""Resources of a design, node by node.

Each module is synthesised alone, as it stands in the design. The design is the sum of its nodes, since the top holds
nothing but wires between them. That is an upper bound: nothing is simplified across the border of two nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hw.design.design import Design
from hw.synth import yosys
from hw.synth.resources import Resources


def synthesise_design(
    design: Design,
    family: yosys.Family,
    *,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Resources]:
    """Return what every node of a design takes, by its name; FIFOs and width converters are nodes as well.

    Args:
        design: that lies in its folder.
        family: Xilinx family of the board.
        workers: processes at the same time, about 500 MB each.
        cache_dir: in place of the cache's folder.
        progress: called with the number of modules that are done, and of all.

    Raises:
        SynthesisError: no Yosys, or a module that it cannot synthesise.
        OSError: a source cannot be read, or a folder cannot be written.
    """
    names = dict.fromkeys(node.module for node in design.nodes)
    modules = {name: yosys.Module(name, tuple(design.sources(name)), folder=design.rtl) for name in names}
    found = yosys.synthesise_all(modules, family, workers=workers, cache_dir=cache_dir, progress=progress)
    return {node.name: found[node.module] for node in design.nodes}
