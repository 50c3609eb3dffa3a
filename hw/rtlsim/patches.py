# SPDX-License-Identifier: Apache-2.0
"""Changes to files of finn-rtllib that Verilator 5.48 cannot read, applied to copies while a design is
compiled.

A patch looks for exact text. Where it is not there, the installed finn-rtllib is another one than the patch
was written for, and PatchError says so. A file that was patched before stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class PatchError(RuntimeError):
    """A file that should be patched does not contain the text it is patched at."""


@dataclass(frozen=True)
class Patch:
    """`old` becomes `new` in files named `file`, because of `reason`."""

    file: str
    reason: str
    old: str
    new: str

    def apply(self, text: str, path: Path) -> str:
        """The patched text of the file at `path`, itself if patched before. Raises PatchError."""
        if self.new in text:
            return text
        _require_once(text, self.old, path, self.reason)
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Move:
    """The text from `first` to `last` goes in front of `before` in files named `file`; see `reason`."""

    file: str
    reason: str
    first: str
    last: str
    before: str

    def apply(self, text: str, path: Path) -> str:
        """The patched text of the file at `path`, itself if patched before. Raises PatchError."""
        for marker in (self.first, self.last, self.before):
            _require_once(text, marker, path, self.reason)
        start, end, target = (
            text.index(self.first),
            text.index(self.last) + len(self.last),
            text.index(self.before),
        )
        if start < target:
            return text
        return text[:target] + text[start:end] + text[target:start] + text[end:]


PATCHES: tuple[Patch | Move, ...] = (
    Patch(
        file="fifo.sv",
        reason="a constant function may only return a packed struct in Verilator",
        old="typedef struct {\n\t\tint unsigned  lo;",
        new="typedef struct packed {\n\t\tint unsigned  lo;",
    ),
    Move(
        file="add_multi.sv",
        reason="a constant function may not be declared in a generate block (IEEE 1800-2023, 13.4.3)",
        first="\t\ttypedef int unsigned  leaf_load_t",
        last="endfunction : init_leaf_loads\n",
        before="\tuwire [SUM_WIDTH-1:0]  sum0;\n",
    ),
)


def read_all(sources: Sequence[Path]) -> dict[str, bytes]:
    """Contents of `sources`, patched. Keys: relative paths, numbered, that keep the file name."""
    return {f"{index}/{path.name}": patched(path) for index, path in enumerate(sources)}


def patched(path: Path) -> bytes:
    """Content of the file at `path`, patched. Raises PatchError and FileNotFoundError."""
    wanted = [patch for patch in PATCHES if patch.file == path.name]
    content = path.read_bytes()
    if not wanted:
        return content
    text = content.decode()
    for patch in wanted:
        text = patch.apply(text, path)
    return text.encode()


def _require_once(text: str, marker: str, path: Path, reason: str) -> None:
    found = text.count(marker)
    if found != 1:
        raise PatchError(f"{path}: cannot be patched ({reason}): expected once, found {found} times: {marker!r}")
