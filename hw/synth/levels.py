# SPDX-License-Identifier: Apache-2.0
"""Levels of logic in a netlist of Xilinx cells: what lies between two registers, or between a register and a port.

A look-up table is a level, and so is the read of a memory made of them; a carry chain is two, however long it is. Wide
multiplexers come with their LUTs. So the design rule, at most four LUTs, or two and a carry chain, is `LIMIT` levels.
Wires, which a netlist does not know, take more time than these: a count ranks, and finds what is built too deep.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, TypeVar

LIMIT = 4

_CHAIN = 2
_PASSING = {"INV": 1, "LUT6_2": 1, "BUFG": 0}
_PASSING |= {f"LUT{inputs}": 1 for inputs in range(1, 7)} | {f"MUXF{inputs}": 0 for inputs in range(5, 10)}
"""Cells of which every output follows every input at once, and their levels."""
_CARRY = ("CARRY4", "CARRY8")
_LUT_MEMORY = re.compile(r"SRL|RAM\d")
_READ = {"O": "A", "SPO": "A", "DPO": "DPRA", "Q": "A"} | {f"DO{port}": f"ADDR{port}" for port in "ABCDEFGH"}
"""Outputs of a memory made of LUTs, and the port, each without its number, that chooses what stands there."""
_SOURCE_NAME = re.compile(r"(\w+\.)*\w+")


class Loop(ValueError):  # noqa: N818 - reads as the sentence it is
    """Gates feed themselves without a register between."""


@dataclass(frozen=True)
class LogicPath:
    """The deepest of the paths from a port, or from the registers, to a port, or to them.

    Attributes:
        source: port that it comes in by, "" from a register.
        sink: port that it leaves by, "" to a register.
        levels: of logic on it.
        start: output of the register, or bit of the port.
        end: the register, called by its output, and its pin, or bit of the port.
    """

    source: str
    sink: str
    levels: int
    start: str
    end: str


class _Reach(NamedTuple):
    """How far something is from a source, and what the path begins with."""

    levels: int
    start: str


_Pin = TypeVar("_Pin", bound=Hashable)
_Reached = dict[_Pin, dict[str, _Reach]]  # by source
_Arcs = Mapping[_Pin, list[tuple[_Pin, int]]]  # what a pin follows at once, and by how many levels


def deepest_paths(module: Mapping[str, Any]) -> tuple[LogicPath, ...]:
    """Return the deepest path for each source and sink that one leads from and to.

    Args:
        module: of Yosys' JSON, mapped to cells of Xilinx. Memories are registers at the pins that a clock samples, and
            so are block RAMs and DSP blocks at all of theirs.

    Raises:
        Loop: a loop of gates.
    """
    names = _names(module["netnames"])
    reached: _Reached[int] = defaultdict(dict)
    ends: list[tuple[int, str, str]] = []  # net, sink, name
    for name, port in module["ports"].items():
        for net in _nets(port["bits"]):
            if port["direction"] == "input":
                reached[net][name] = _Reach(0, names.get(net, name))
            else:
                ends.append((net, name, names.get(net, name)))
    for name, cell in module["cells"].items():
        if cell["type"] not in _PASSING and cell["type"] not in _CARRY:
            outputs = [net for _, net in _pins(cell, "output")]
            known = next((names[net] for net in outputs if net in names), name)
            reached |= {net: {"": _Reach(0, names.get(net, known))} for net in outputs}
            ends += [(net, "", f"{known}.{pin}") for pin, net in _pins(cell, "input")]
    _spread(reached, _arcs(module["cells"].values()), names)
    found: dict[tuple[str, str], LogicPath] = {}
    for net, sink, end in ends:
        for source, reach in reached[net].items():
            if (source, sink) not in found or reach.levels > found[source, sink].levels:
                found[source, sink] = LogicPath(source, sink, reach.levels, reach.start, end)
    return tuple(found.values())


def deepest_into(
    nodes: Mapping[str, Iterable[LogicPath]], wires: Mapping[tuple[str, str], tuple[str, str]]
) -> dict[str, LogicPath]:
    """Return the deepest path that ends in each node of a design and begins in any.

    Args:
        nodes: the deepest paths of each alone.
        wires: of a node's input port, the node and output port that drive it; what nothing drives comes from a
            register outside.

    Raises:
        Loop: a loop of gates through several nodes.
    """
    reached: _Reached[tuple[str, str]] = defaultdict(dict)
    arcs: dict[tuple[str, str], list[tuple[tuple[str, str], int]]] = defaultdict(list)
    arcs |= {sink: [(source, 0)] for sink, source in wires.items()}
    for name, paths in nodes.items():
        for path in paths:
            if path.source == "":
                reached[name, path.sink][""] = _Reach(path.levels, f"{name}.{path.start}")
            elif (name, path.source) not in wires:
                reached[name, path.source][""] = _Reach(0, path.start)
            if path.source and path.sink:
                arcs[name, path.sink].append(((name, path.source), path.levels))
    _spread(reached, arcs, {pin: ".".join(pin) for pin in arcs})
    found: dict[str, LogicPath] = {}
    for name, paths in nodes.items():
        for path in paths:
            # between two registers of the node, the path is all that there is
            before = reached[name, path.source].get("") if path.source else _Reach(0, f"{name}.{path.start}")
            levels = path.levels + (before.levels if before else 0)
            if before and not path.sink and (name not in found or levels > found[name].levels):
                found[name] = LogicPath("", "", levels, before.start, f"{name}.{path.end}")
    return found


def _spread(reached: _Reached[_Pin], arcs: _Arcs[_Pin], names: Mapping[_Pin, str]) -> None:
    """Carry what reaches a pin on to those that follow it, each after all that it follows."""
    order = TopologicalSorter({sink: {source for source, _ in befores} for sink, befores in arcs.items()})
    try:
        for sink in order.static_order():
            here = reached[sink]
            for pin, levels in arcs.get(sink, ()):
                for source, reach in reached[pin].items():
                    if source not in here or reach.levels + levels > here[source].levels:
                        here[source] = _Reach(reach.levels + levels, reach.start)
    except CycleError as error:
        raise Loop(f"a loop of gates: {', '.join(names.get(pin, '?') for pin in error.args[1])}") from error


def _names(nets: Mapping[str, Any]) -> dict[int, str]:
    """Call each bit as the source does, by the name with the fewest instances before it."""
    names: dict[int, str] = {}
    for name, net in sorted(nets.items(), key=lambda item: (item[0].count("."), item[0])):
        if _SOURCE_NAME.fullmatch(name):
            for index, bit in enumerate(net["bits"]):
                names.setdefault(bit, f"{name}[{index}]" if len(net["bits"]) > 1 else name)
    return names


def _nets(bits: list[int | str]) -> Iterator[int]:
    """The bits that are not constant."""
    return (bit for bit in bits if isinstance(bit, int))


def _pins(cell: Mapping[str, Any], direction: str) -> Iterator[tuple[str, int]]:
    for pin, bits in cell["connections"].items():
        if cell["port_directions"][pin] == direction:
            yield from ((pin, bit) for bit in _nets(bits))


def _arcs(cells: Iterable[Mapping[str, Any]]) -> dict[int, list[tuple[int, int]]]:
    """Return for each output of a cell the inputs that it follows at once, and by how many levels."""
    cells = list(cells)
    carries = {bit for cell in cells if cell["type"] in _CARRY for bit in _nets(cell["connections"].get("CO", []))}
    arcs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for cell in cells:
        for pin, sink in _pins(cell, "output"):
            if cell["type"] in _PASSING:
                arcs[sink] += [(bit, _PASSING[cell["type"]]) for _, bit in _pins(cell, "input")]
            elif cell["type"] in _CARRY:
                arcs[sink] += _below(cell["connections"], pin, sink, carries)
            elif _LUT_MEMORY.match(cell["type"]) and pin != "Q31":
                address = _READ[pin.rstrip("0123456789")]
                arcs[sink] += [(bit, 1) for name, bit in _pins(cell, "input") if name.rstrip("0123456789") == address]
    return arcs


def _below(pins: Mapping[str, Any], output: str, sink: int, carries: set[int]) -> Iterator[tuple[int, int]]:
    """What an output of a part of a carry chain follows; the chain has been counted where it goes on from a part."""
    place = pins[output].index(sink)
    for pin, count in (("S", place + 1), ("DI", place + (output == "CO")), ("CYINIT", 1), ("CI", 1), ("CI_TOP", 1)):
        for bit in _nets(pins.get(pin, [])[:count]):
            yield bit, 0 if pin == "CI" and bit in carries else _CHAIN
