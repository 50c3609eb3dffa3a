# SPDX-License-Identifier: Apache-2.0
"""Resources of a design, node by node.

Each module is synthesised alone, as it stands in the design. The design is the sum of its nodes, since the top holds
nothing but wires between them. That is an upper bound: nothing is simplified across the border of two nodes. What goes
through a node from stream to stream adds up along the design.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hw.design.design import Design
from hw.synth import yosys
from hw.synth.levels import LogicPath, Loop, deepest_into
from hw.synth.resources import Resources

_FORWARD, _BACK = ("TDATA", "TVALID"), "TREADY"


@dataclass(frozen=True)
class NodeLevels:
    """Levels of logic of a node.

    Attributes:
        inside: of the deepest path between two registers of the node; 0 where there is none.
        through: of the deepest path from stream to stream.
        into: the deepest path that ends in it, wherever in the design it begins; None where none does.
    """

    inside: int
    through: int
    into: LogicPath | None


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
    found = yosys.synthesise_all(_modules(design), family, workers=workers, cache_dir=cache_dir, progress=progress)
    return {node.name: found[node.module] for node in design.nodes}


def count_levels(
    design: Design, family: yosys.Family, *, workers: int = 1, cache_dir: Path | None = None
) -> dict[str, NodeLevels]:
    """Return the levels of logic of every node of a design, by its name.

    Arguments and errors are those of `synthesise_design`, whose results have them already; a loop of gates through
    several nodes is a SynthesisError as well.
    """
    modules = yosys.paths(_modules(design), family, workers=workers, cache_dir=cache_dir)
    nodes = {node.name: modules[node.module] for node in design.nodes}
    try:
        into = deepest_into(nodes, _wires(design))
    except Loop as error:
        raise yosys.SynthesisError(f"the design holds {error}") from error
    return {
        name: NodeLevels(
            inside=max((path.levels for path in paths if not path.source and not path.sink), default=0),
            through=max((path.levels for path in paths if path.source and path.sink), default=0),
            into=into.get(name),
        )
        for name, paths in nodes.items()
    }


def _modules(design: Design) -> dict[str, yosys.Module]:
    names = dict.fromkeys(node.module for node in design.nodes)
    return {name: yosys.Module(name, tuple(design.sources(name)), folder=design.rtl) for name in names}


def _wires(design: Design) -> dict[tuple[str, str], tuple[str, str]]:
    """Return node and port that drive a node's port."""
    wires = {}
    for edge in design.inner:
        assert edge.source and edge.sink
        source, sink = ((end.node, end.interface) for end in (edge.source, edge.sink))
        for signal in _FORWARD:
            wires[sink[0], f"{sink[1]}_{signal}"] = source[0], f"{source[1]}_{signal}"
        wires[source[0], f"{source[1]}_{_BACK}"] = sink[0], f"{sink[1]}_{_BACK}"
    return wires
