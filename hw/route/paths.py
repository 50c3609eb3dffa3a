# SPDX-License-Identifier: Apache-2.0
"""The worst path into each node, from the delays of a routed netlist.

nextpnr itself names one path a clock. With its delays of all wires and cells (SDF) the arrival at each register is the
longest sum from a clock; what it reports as the clock that is reached comes out of that again.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

_WIRE = re.compile(r"\(INTERCONNECT (\S+) (\S+) (.*)\)")
_INSTANCE = re.compile(r"\(INSTANCE (\S+)\)")
_ARC = re.compile(r"\(IOPATH (\S+) (\S+) (.*)\)")
_CHECK = re.compile(r"\(SETUPHOLD \(posedge (\S+)\) \(posedge (\S+)\) (\(\S+\))")
_LATEST = re.compile(r":(-?\d+)\)")
_NEVER = float("-inf")


@dataclass(frozen=True)
class TimingPath:
    """From the clock's edge at one register to the next edge at another one; delays in ns, setup counted as logic.

    Attributes:
        start: node and register, "" for the node of what belongs to none.
        end: node, and register with its port, e.g. "count[3]_reg.CE".
    """

    start: tuple[str, str]
    end: tuple[str, str]
    logic_ns: float
    routing_ns: float

    @property
    def delay_ns(self) -> float:
        """All of it."""
        return self.logic_ns + self.routing_ns


class _Arc(NamedTuple):
    """A delay between two pins, in ps."""

    source: str
    sink: str
    delay: int
    routing: bool


@dataclass
class _Delays:
    """What an SDF file says; a pin is called CELL/PORT."""

    arcs: dict[str, list[_Arc]] = field(default_factory=lambda: defaultdict(list))
    setup: dict[str, int] = field(default_factory=dict)
    clocks: set[str] = field(default_factory=set)


def worst_paths(sdf: Iterable[str], nodes: Collection[str]) -> tuple[TimingPath, ...]:
    """Return the longest path into each of the nodes that one ends in.

    Args:
        sdf: lines of nextpnr's file.
        nodes: names of the top module's instances; what is in none of them counts as the node "".
    """
    delays = _read(sdf)
    arrival, via = _arrivals(delays)
    latest: dict[str, tuple[float, str]] = {}
    for pin, setup in delays.setup.items():
        total = arrival.get(pin, _NEVER) + setup
        node, _ = _owner(pin, nodes)
        if total > latest.get(node, (_NEVER, ""))[0]:
            latest[node] = total, pin
    return tuple(_path(pin, delays, via, nodes) for _, pin in latest.values())


def _read(sdf: Iterable[str]) -> _Delays:
    """Read a file, of which nextpnr writes an entry a line."""
    delays, cell = _Delays(), ""
    for line in sdf:
        if match := _INSTANCE.search(line):
            cell = _plain(match[1])
        elif match := _WIRE.search(line):
            _add(delays, _plain(match[1]), _plain(match[2]), match[3], routing=True)
        elif match := _ARC.search(line):
            _add(delays, f"{cell}/{match[1]}", f"{cell}/{match[2]}", match[3], routing=False)
        elif match := _CHECK.search(line):
            delays.setup[f"{cell}/{match[1]}"] = _picoseconds(match[3])
            delays.clocks.add(f"{cell}/{match[2]}")
    return delays


def _add(delays: _Delays, source: str, sink: str, values: str, *, routing: bool) -> None:
    delays.arcs[source].append(_Arc(source, sink, _picoseconds(values), routing))


def _picoseconds(values: str) -> int:
    """The largest of rise and fall in the slow corner, which comes last of three."""
    return max(map(int, _LATEST.findall(values)))


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _arrivals(delays: _Delays) -> tuple[dict[str, float], dict[str, _Arc]]:
    """Return when the latest edge is at each pin, and the arc that it came by; pins of a loop have no time."""
    waiting: dict[str, int] = defaultdict(int)
    for arc in itertools.chain.from_iterable(delays.arcs.values()):
        waiting[arc.sink] += 1
    arrival, via = dict.fromkeys(delays.clocks, 0.0), {}
    ready = [pin for pin in delays.arcs if waiting[pin] == 0]
    while ready:
        pin = ready.pop()
        for arc in delays.arcs.get(pin, ()):
            time = arrival.get(pin, _NEVER) + arc.delay
            if time > arrival.get(arc.sink, _NEVER):
                arrival[arc.sink], via[arc.sink] = time, arc
            waiting[arc.sink] -= 1
            if waiting[arc.sink] == 0:
                ready.append(arc.sink)
    return arrival, via


def _path(end: str, delays: _Delays, via: dict[str, _Arc], nodes: Collection[str]) -> TimingPath:
    """Walk back from a register's input to the clock."""
    logic, routing, pin = delays.setup[end], 0, end
    while pin in via and pin not in delays.clocks:
        arc = via[pin]
        logic, routing = (logic, routing + arc.delay) if arc.routing else (logic + arc.delay, routing)
        pin = arc.source
    (first, start), (last, register) = _owner(pin, nodes), _owner(end, nodes)
    port = end.rpartition("/")[2]
    return TimingPath((first, start), (last, f"{register}.{port}"), round(logic / 1000, 3), round(routing / 1000, 3))


def _owner(pin: str, nodes: Collection[str]) -> tuple[str, str]:
    """Return node and cell of a pin; flattening has put the instance's name before the cell's."""
    cell = pin.rpartition("/")[0]
    node, _, inside = cell.removeprefix("$flatten\\").partition(".")
    return (node, inside) if node in nodes else ("", cell)
