# SPDX-License-Identifier: Apache-2.0
"""The block design that recorded Vivado commands make: cells, ports, connections, and the files it is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["pin", "interface"]

_VALUED = ("-mode", "-cflags", "-fileset", "-boundary_type", "-dir", "-type", "-from", "-to", "-vlnv", "-reference")
"""Options that are followed by a value."""
_SIZE = re.compile(r"CONFIG\.(NUM_[SM]I) \{?(\d+)")


@dataclass
class RecordedDesign:
    """What a script makes.

    Attributes:
        files: that it reads.
        repositories: folders in which it has Vivado look for cores.
        cells: each with its module, or with the vlnv of its core.
        sizes: of interconnects, by cell and property.
        hierarchies: cells that hold others, each with its pins.
        ports: of the design to the outside.
        wires: connected pairs of pins, as CELL/PIN or PORT.
        streams: the same of interfaces.
    """

    files: list[Path] = field(default_factory=list)
    repositories: set[Path] = field(default_factory=set)
    cells: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    hierarchies: dict[str, dict[str, Kind]] = field(default_factory=dict)
    ports: dict[str, Kind] = field(default_factory=dict)
    wires: list[tuple[str, str]] = field(default_factory=list)
    streams: list[tuple[str, str]] = field(default_factory=list)

    def pairs(self, kind: Kind) -> list[tuple[str, str]]:
        """Connections of a kind."""
        return self.wires if kind == "pin" else self.streams


def replay(commands: Iterable[Sequence[str]], folder: Path) -> RecordedDesign:
    """What recorded commands make; relative names of files begin in `folder`."""
    player = _Player(folder)
    for verb, *words in commands:
        action = getattr(player, verb, None)
        if action is not None:
            action(words)
    return player.design


def plain(words: Sequence[str]) -> Iterator[str]:
    """Words that are neither options nor their values."""
    for before, word in zip(("", *words), words, strict=False):
        if not word.startswith("-") and before not in _VALUED:
            yield word


class _Player:
    """A method for each command that matters here, under its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.design = RecordedDesign()

    def add_files(self, words: Sequence[str]) -> None:
        self.design.files += [self.folder / name for word in plain(words) for name in word.split()]

    read_verilog = read_xdc = add_files

    def open_project(self, words: Sequence[str]) -> None:
        """Vivado opens what is there; Vitis HLS makes a project under a name without an ending."""
        self.design.files += [Path(word) for word in words if word.endswith(".xpr")]

    def create_bd_cell(self, words: Sequence[str]) -> None:
        name = words[-1].strip("/")
        for option in ("-reference", "-vlnv"):
            if option in words:
                self.design.cells[name] = words[words.index(option) + 1]
                return
        self.design.hierarchies[name] = {}

    def create_bd_pin(self, words: Sequence[str]) -> None:
        self._pin_of_hierarchy(words[-1], "pin")

    def create_bd_intf_pin(self, words: Sequence[str]) -> None:
        self._pin_of_hierarchy(words[-1], "interface")

    def _pin_of_hierarchy(self, path: str, kind: Kind) -> None:
        cell, _, name = path.strip("/").rpartition("/")
        self.design.hierarchies.setdefault(cell, {})[name] = kind

    def connect_bd_net(self, words: Sequence[str]) -> None:
        self._connect(words, "pin")

    def connect_bd_intf_net(self, words: Sequence[str]) -> None:
        self._connect(words, "interface")

    def _connect(self, words: Sequence[str], kind: Kind) -> None:
        first, *others = (end.strip("/") for end in plain(words))
        self.design.pairs(kind).extend((first, other) for other in others)

    def make_bd_pins_external(self, words: Sequence[str]) -> None:
        self._make_external(words[0], "pin")

    def make_bd_intf_pins_external(self, words: Sequence[str]) -> None:
        self._make_external(words[0], "interface")

    def _make_external(self, pin: str, kind: Kind) -> None:
        stem = pin.rpartition("/")[2]
        port = next(
            name for index in range(len(self.design.ports) + 1) if (name := f"{stem}_{index}") not in self.design.ports
        )
        self.design.ports[port] = kind
        self.design.pairs(kind).append((pin.strip("/"), port))

    def set_property(self, words: Sequence[str]) -> None:
        if words[0] == "name" and words[-1] in self.design.ports:
            self._rename(words[-1], words[1])
        elif words[0] == "ip_repo_paths":
            self.design.repositories |= {Path(name) for name in words[1].split()}
        sizes = {name: int(size) for word in words for name, size in _SIZE.findall(word)}
        if sizes:
            self.design.sizes.setdefault(words[-1].strip("/"), {}).update(sizes)

    def _rename(self, old: str, new: str) -> None:
        kind = self.design.ports[new] = self.design.ports.pop(old)
        pairs = self.design.pairs(kind)
        pairs[:] = [(new if one == old else one, new if other == old else other) for one, other in pairs]
