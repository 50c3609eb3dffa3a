# SPDX-License-Identifier: Apache-2.0
"""A design placed and routed on the stand-in: whole where it fits, else in groups of neighbours.

Each module is synthesised on its own and the netlists are joined afterwards, so that every register keeps the name of
its node; nothing is simplified across the border of two nodes. Wires between two groups are not timed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel

from hw.cache import Room, key_of
from hw.design.design import Design, Edge, End
from hw.design.top import whole
from hw.route import nextpnr
from hw.route.nextpnr import AVAILABLE, RouteError
from hw.route.paths import TimingPath, worst_paths
from hw.synth.resources import Resources
from hw.synth.yosys import ECP5_LIBRARY, Module, netlists, run_script

FILL = 0.75
"""Share of the stand-in that a part of a design takes at most: the rest is for the placer to move in."""
_TOP, _NETLIST, _RESULT = "top.v", "netlist.json", "routed.json"
_FORMAT = 1
"""Of the result in the cache; another one where the same delays are read in another way."""


@dataclass(frozen=True)
class Routed:
    """What was reached.

    Attributes:
        tool: with its version.
        fmax_mhz: clock of the slowest part; None where no register feeds another one.
        parts: names of the nodes that were routed together.
        left_out: nodes that are larger than the stand-in.
        paths: longest path into each node, longest first.
    """

    tool: str
    fmax_mhz: float | None
    parts: tuple[tuple[str, ...], ...]
    left_out: tuple[str, ...]
    paths: tuple[TimingPath, ...]


def route_design(
    design: Design,
    program: list[str],
    *,
    clock_mhz: float,
    seed: int = 1,
    workers: int = 1,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Routed:
    """Place and route a design on the stand-in.

    Args:
        design: that lies in its folder.
        program: how nextpnr is run.
        clock_mhz: what nextpnr aims at.
        seed: of its placement.
        workers: processes at the same time; of nextpnr, each takes half a GB and more.
        cache_dir: in place of the cache's folder.
        progress: told what is going on.

    Raises:
        RouteError: nextpnr failed.
        SynthesisError: no Yosys, or a module that it cannot synthesise.
        OSError: a source cannot be read, or a folder cannot be written.
    """
    names = dict.fromkeys(node.module for node in design.nodes)
    found = netlists(
        {name: Module(name, tuple(design.sources(name)), folder=design.rtl) for name in names},
        workers=workers,
        cache_dir=cache_dir,
        progress=lambda done, total: progress(f"{done}/{total} modules synthesised"),
    )
    parts, left_out = divide(design, {name: size for name, (size, _) in found.items()})
    job = _Job(program, nextpnr.version(program), clock_mhz, seed, {name: path for name, (_, path) in found.items()})
    room = Room("route", cache_dir)

    def run(index: int) -> _Reached:
        number = f"part {index + 1} of {len(parts)}: " if len(parts) > 1 else ""
        return job.run(_part(design, parts[index]), room, lambda text: progress(f"{number}{text}"))

    with ThreadPoolExecutor(max(1, workers)) as pool:
        reached = list(pool.map(run, range(len(parts))))
    paths = sorted((path for part in reached for path in part.paths), key=lambda path: -path.delay_ns)
    fmax = min((part.fmax_mhz for part in reached if part.fmax_mhz is not None), default=None)
    return Routed(job.tool, fmax, parts, left_out, tuple(paths))


def divide(design: Design, sizes: Mapping[str, Resources]) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Divide a design into parts that the stand-in holds: all of it, or runs of nodes in the order of the graph.

    Returns:
        The names of the nodes of each part, and of those that are too large on their own.
    """
    parts: list[list[str]] = [[]]
    left_out, filled = [], Resources()
    for node in design.nodes:
        size = sizes[node.module]
        if not _fits(size, 1.0):
            left_out.append(node.name)
            continue
        if parts[-1] and not _fits(Resources.total((filled, size)), FILL):
            parts.append([])
            filled = Resources()
        parts[-1].append(node.name)
        filled = Resources.total((filled, size))
    return tuple(tuple(part) for part in parts if part), tuple(left_out)


def _fits(size: Resources, share: float) -> bool:
    return not size.exceeding({name: share * amount for name, amount in asdict(AVAILABLE).items() if amount})


def _part(design: Design, names: Collection[str]) -> Design:
    """Return a design of some of the nodes; streams to and from the others end at its border."""
    edges = (
        Edge(tensor=edge.tensor, source=_inside(edge.source, names), sink=_inside(edge.sink, names))
        for edge in design.edges
    )
    nodes = tuple(node for node in design.nodes if node.name in names)
    return design.model_copy(
        update={"nodes": nodes, "edges": tuple(edge for edge in edges if edge.source or edge.sink)}
    )


def _inside(end: End | None, names: Collection[str]) -> End | None:
    return end if end is not None and end.node in names else None


class _Reached(BaseModel):
    """Of one part."""

    fmax_mhz: float | None
    paths: tuple[TimingPath, ...]


@dataclass(frozen=True)
class _Job:
    """What all parts have in common."""

    program: list[str]
    tool: str
    clock_mhz: float
    seed: int
    netlists: Mapping[str, Path]

    def run(self, part: Design, room: Room, progress: Callable[[str], None]) -> _Reached:
        """Route a part, or find what was reached when it was routed before."""
        files = {name: self.netlists[name] for name in dict.fromkeys(node.module for node in part.nodes)}
        text, script = whole(part), _script(part.top, list(files))
        settings = json.dumps([_FORMAT, self.tool, nextpnr.OPTIONS, self.clock_mhz, self.seed, script])
        key = key_of(settings, text, *(path.read_bytes() for path in files.values()))

        def make(home: Path, log: Path) -> None:
            with tempfile.TemporaryDirectory(prefix="route-", dir=room.folder) as scratch:
                folder = Path(scratch)
                (folder / _TOP).write_text(text)
                for index, path in enumerate(files.values()):
                    shutil.copyfile(path, folder / f"{index}.il")
                (folder / "script.ys").write_text("\n".join(script) + "\n")
                progress("joining the netlists")
                if run_script(folder / "script.ys", log) != 0:
                    raise RouteError("Yosys cannot join the netlists", log)
                fmax = nextpnr.place_and_route(
                    self.program, folder / _NETLIST, log, clock_mhz=self.clock_mhz, seed=self.seed, progress=progress
                )
                with (folder / nextpnr.SDF).open() as sdf:
                    paths = worst_paths(sdf, {node.name for node in part.nodes})
            (home / _RESULT).write_text(_Reached(fmax_mhz=fmax, paths=paths).model_dump_json())

        return _Reached.model_validate_json((room.get(key, make) / _RESULT).read_text())


def _script(top: str, modules: Sequence[str]) -> list[str]:
    """Return Yosys commands that join the netlists 0.il, 1.il, ... of modules below a top."""
    lines = [ECP5_LIBRARY, f"read_verilog {_TOP}"]
    for index, module in enumerate(modules):
        lines += [f"read_rtlil {index}.il", f"rename netlist {module}"]
    return [
        *lines,
        f"hierarchy -check -top {top}",
        "flatten",
        "opt_clean",
        "blackbox =A:whitebox",
        f"write_json {_NETLIST}",
    ]
