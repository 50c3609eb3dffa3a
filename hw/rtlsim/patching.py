# SPDX-License-Identifier: Apache-2.0
"""Kinds of changes to files of finn-rtllib; patches.py has the changes themselves.

A patch looks for exact text. Where it is not there, the installed finn-rtllib is another one than the patch
was written for, and PatchError says so. A file that was patched before stays as it is.
"""

from __future__ import annotations

import re
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
    """The text from `first` to the next `last` goes in front of `before` in files named `file`; see `reason`."""

    file: str
    reason: str
    first: str
    last: str
    before: str

    def apply(self, text: str, path: Path) -> str:
        """The patched text of the file at `path`, itself if patched before. Raises PatchError."""
        start, end = _span(text, self.first, self.last, path, self.reason)
        _require_once(text, self.before, path, self.reason)
        target = text.index(self.before)
        if start < target:
            return text
        return text[:target] + text[start:end] + text[target:start] + text[end:]


@dataclass(frozen=True)
class Exchange:
    """The text from `first` to the next `last` becomes `new`, and empty lines, in files named `file`; see `reason`."""

    file: str
    reason: str
    first: str
    last: str
    new: str

    def apply(self, text: str, path: Path) -> str:
        """The patched text of the file at `path`, itself if patched before. Raises PatchError."""
        if self.new.splitlines()[0] in text:
            return text
        start, end = _span(text, self.first, self.last, path, self.reason)
        spare = text.count("\n", start, end) - self.new.count("\n")
        return text[:start] + self.new + "\n" * spare + text[end:]


@dataclass(frozen=True)
class Floats:
    """Conversions from and to single precision in files named `file`, which Verilator does not have; see `reason`."""

    file: str
    reason: str = "Verilator takes a shortreal for a real: these two functions would convert from and to 64 bits"

    def apply(self, text: str, path: Path) -> str:
        """The patched text of the file at `path`, itself if patched before. Raises PatchError."""
        if text.startswith(_FLOATS):
            return text
        if "shortreal" not in text:
            raise PatchError(f"{path}: cannot be patched ({self.reason}): no shortreal")
        text = text.replace("$bitstoshortreal(", "ir2_fp32_real(").replace("$shortrealtobits(", "ir2_real_fp32(")
        return f'{_FLOATS}`line 1 "{path}" 0\n{text}'


@dataclass(frozen=True)
class Shapes:
    """Shapes are arrays of MAX_RANK elements, the last of them unused, in files whose name fits `file`; see `reason`.

    A file that has no shapes is left alone: generated ones may have any.
    """

    file: str
    reason: str = "in Verilator the size of a parameter cannot depend on another one's value"

    def apply(self, text: str, path: Path) -> str:
        """The patched text of the file at `path`, itself if patched before."""
        text = re.sub(r"(\w*(?:SHAPE|DIMS|COEFS|dims_t))\[(?:NDIMS|D)\]", rf"\1[{MAX_RANK}]", text)
        return re.sub(r"(\.\w*(?:SHAPE|DIMS|COEFS)\('\{)([^}]*)(\}\))", _filled, text)


def _filled(literal: re.Match[str]) -> str:
    elements = [element.strip() for element in literal[2].split(",")]
    return literal[1] + ", ".join([*elements, *["1"] * (MAX_RANK - len(elements))]) + literal[3]


MAX_RANK = 16
_FLOATS = """\
`ifndef IR2_FLOATS
`define IR2_FLOATS
function automatic real ir2_fp32_real(input logic [31:0] bits);
	logic [10:0]  exponent = bits[30:23] == 0? 0 : bits[30:23] == 255? 2047 : bits[30:23] + 896;
	return  $bitstoreal({ bits[31], exponent, bits[30:23] == 0? 23'd0 : bits[22:0], 29'd0 });
endfunction
function automatic logic [31:0] ir2_real_fp32(input real value);
	logic [63:0]  bits = $realtobits(value);
	logic [33:0]  magnitude = bits[62:29];
	if(&bits[62:52])  return { bits[63], 8'hFF, |bits[51:0], 22'd0 };
	magnitude += bits[28] && (|bits[27:0] || bits[29]);
	if(magnitude <  34'd897  << 23)  return { bits[63], 31'd0 };
	if(magnitude >= 34'd1151 << 23)  return { bits[63], 8'hFF, 23'd0 };
	return { bits[63], 31'(magnitude - (34'd896 << 23)) };
endfunction
`endif
"""
"""Rounds to nearest, even. Numbers too small to be normal are zero, as in the hardware."""


def _require_once(text: str, marker: str, path: Path, reason: str) -> None:
    found = text.count(marker)
    if found != 1:
        raise PatchError(f"{path}: cannot be patched ({reason}): expected once, found {found} times: {marker!r}")


def _span(text: str, first: str, last: str, path: Path, reason: str) -> tuple[int, int]:
    """Where the text from `first` to the next `last` begins and ends. Raises PatchError."""
    _require_once(text, first, path, reason)
    start = text.index(first)
    end = text.find(last, start + len(first))
    if end < 0:
        raise PatchError(f"{path}: cannot be patched ({reason}): not found behind {first!r}: {last!r}")
    return start, end + len(last)


AnyPatch = Patch | Move | Exchange | Floats | Shapes
