# SPDX-License-Identifier: Apache-2.0
"""The RTL cells, see README.md, and which files each of them takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

RTL_DIR = Path(__file__).resolve().parent


@cache
def sources(module: str) -> tuple[Path, ...]:
    """Files of a module of hw/rtl and of everything it instantiates, the instantiated first.

    Raises:
        FileNotFoundError: hw/rtl has no such module.
    """
    known = {path.stem for path in RTL_DIR.glob("*.sv")}
    path = RTL_DIR / f"{module}.sv"
    code = re.sub(r"//.*", "", path.read_text())
    used = sorted((set(re.findall(r"\w+", code)) & known) - {module})
    found = [file for name in used for file in sources(name)]
    return tuple(dict.fromkeys([*found, path]))


def packages_first(files: Iterable[Path]) -> list[Path]:
    """Return source files without repetitions, in the order in which tools have to read them."""
    return sorted(dict.fromkeys(files), key=lambda path: not path.stem.endswith("_pkg"))
