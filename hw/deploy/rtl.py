# SPDX-License-Identifier: Apache-2.0
"""The stitched design as a folder of its own: sources and the memories that they read, by relative paths."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from hw.errors import ToolFailure
from hw.rtlsim.stitch import StitchedDesign

ROM = "rom"
_MEMORY = re.compile(r'"(/[^"\n]+)"')
"""A string in a source that may be the path of a ROM file, or the part that the paths of several begin with."""


def copy_design(design: StitchedDesign, folder: Path) -> list[Path]:
    """Copy all sources and memories; returns the sources in the order in which tools have to read them.

    Raises:
        ToolFailure: two different sources have one name.
    """
    (folder / ROM).mkdir(parents=True)
    return [_copy_source(source, folder) for source in design.sources]


def _copy_source(source: Path, folder: Path) -> Path:
    """Copy a source, with the ROM files it reads, whose paths become relative to the folder."""

    def relocate(match: re.Match[str]) -> str:
        start = Path(match.group(1))
        found = sorted(start.parent.glob(f"{start.name}*")) if start.parent.is_dir() else []
        if not found:
            return match.group(0)
        prefix = f"{start.parent.name}_"
        for memory in found:
            shutil.copyfile(memory, folder / ROM / f"{prefix}{memory.name}")
        return f'"./{ROM}/{prefix}{start.name}"'

    text = _MEMORY.sub(relocate, source.read_text())
    target = folder / source.name
    if target.exists() and target.read_text() != text:
        raise ToolFailure(f"two different sources are called {source.name}")
    target.write_text(text)
    return target
