# SPDX-License-Identifier: Apache-2.0
"""Every notebook runs from the first cell to the last, on the build of the other tests and the stand-in device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.command import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUNS = [(path, "cppsim") for path in NOTEBOOKS] + [(path, "rtlsim") for path in NOTEBOOKS if "device" in path.name]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("path", "device"), RUNS, ids=lambda value: getattr(value, "stem", value))
def test_runs(path: Path, device: str, tiny_build: Path) -> None:
    variables = {
        "IR2NET_BUILD": str(tiny_build),
        "IR2NET_PACKAGE": str(tiny_build / "10_package" / "deploy"),
        "IR2NET_DEVICE": device,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=900", "-p", "no:cacheprovider", str(path)]
    environment = {name: value for name, value in os.environ.items() if name != "IR2NET_DATA"} | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len(cells) > len(code) > 3


def test_there_are_five() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5"]
