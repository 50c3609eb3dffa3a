# SPDX-License-Identifier: Apache-2.0
"""A nextpnr on PATH that answers with recorded delays, and counts its runs in a file beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

RECORDED = Path(__file__).with_name("recorded.sdf")
"""Of `designs.pair` with 4 bits, cut down to two ends, with shorter names of cells."""
LOG = """\
Info: Packing LUTs...
Info:     at initial placer iter 0, wirelen = 57
Info:     at iteration #1, type ALL: wirelen solved = 61, spread = 90, legal = 113; time = 0.13s
Info:   at iteration #5: temp = 0.000000, timing cost = 65, wirelen = 4777
Info:       1000 |      189        661 |  189   661 |      1470|       5.02       5.02|
"""
SCRIPT = """\
#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
if "--version" in arguments:
    sys.exit(print('"nextpnr-ecp5" -- Next Generation Place and Route (Version nextpnr-0.11.1)', file=sys.stderr))
with pathlib.Path(__file__).with_name("runs").open("a") as runs:
    runs.write(" ".join(arguments) + "\\n")
print('''{log}''')
value = lambda option: arguments[arguments.index(option) + 1]
assert json.loads(pathlib.Path(value("--json")).read_text())["modules"]
{then}
report = {{"fmax": {{"ap_clk": {{"achieved": 435.92, "constraint": 100}}}}}}
pathlib.Path(value("--report")).write_text(json.dumps(report))
pathlib.Path(value("--sdf")).write_text(pathlib.Path({sdf!r}).read_text())
"""
FAILS = "sys.exit(print('ERROR: Unable to place cell, no BELs remaining', file=sys.stderr) or 255)"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, then: str = "") -> Path:
    """Put it on PATH, alone; returns the file that its runs are in."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nextpnr-ecp5"
    program.write_text(SCRIPT.format(python=sys.executable, log=LOG, then=then, sdf=str(RECORDED)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "runs"
