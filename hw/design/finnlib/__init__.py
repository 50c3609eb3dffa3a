# SPDX-License-Identifier: Apache-2.0
"""Files of FINN's RTL library as this project uses them: copies with patches, of which each says why.

| folder | changes | applied |
|---|---|---|
| read | what Verilator 5.48 or read_slang of Yosys 0.70 cannot read | always |
| speed | forms that a simulator runs faster, with the same cycles, values and LUTs | always |
| model | behavioural models of primitives that Vivado alone has (DSP58, DSPFP32) | for FINN's own rtlsim |

A patch is a unified diff named after the file, FILE.patch, or FILE.2.patch for another file of that name. The two
first kinds are part of every design, so that what is simulated, synthesised and shipped is one text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import whatthepatch
from whatthepatch.exceptions import HunkApplyException

HERE = Path(__file__).parent
DESIGN, SIMULATION = ("read", "speed"), ("read", "speed", "model")
MARK = "// A copy of a file of FINN with changes, see hw/design/finnlib.\n"
MAX_RANK = 16
"""Dimensions of a shape for which there is room in patched files."""
_SHAPE = re.compile(r"(\.\w*(?:SHAPE|DIMS|COEFS)\('\{)([^}]*)(\}\))")


class PatchError(RuntimeError):
    """A file that should be patched is not the one that its patch was made for."""


def patched(path: Path, kinds: Sequence[str] = DESIGN) -> str:
    """Return the text of a source file with every patch of these kinds for its name applied, unless it has them.

    Raises:
        PatchError: the file is of another release of FINN.
        OSError: the file cannot be read.
    """
    text = path.read_text()
    if text.startswith(MARK):
        return text
    for kind in kinds:
        diffs = sorted((HERE / kind).glob(f"{path.name}*.patch"))
        if diffs:
            text = MARK + _applied(diffs, text.removeprefix(MARK), path)
    return _with_room(text) if path.name.endswith("_core.sv") else text


def _applied(diffs: Sequence[Path], text: str, path: Path) -> str:
    """Apply the one patch that fits."""
    for diff in diffs:
        try:
            (change,) = whatthepatch.parse_patch(diff.read_text())
            return "\n".join(whatthepatch.apply_diff(change, text)) + "\n"
        except HunkApplyException:
            continue
    raise PatchError(f"{path} is not the file that {diffs[0].relative_to(HERE)} was made for: another release of FINN")


def _with_room(text: str) -> str:
    """Fill shapes that a generated file hands to FINN's modules up to MAX_RANK dimensions, as their patches do.

    In Verilator the size of a parameter cannot depend on another one's value.
    """

    def filled(literal: re.Match[str]) -> str:
        elements = [element.strip() for element in literal[2].split(",")]
        return literal[1] + ", ".join([*elements, *["1"] * (MAX_RANK - len(elements))]) + literal[3]

    return _SHAPE.sub(filled, text)
