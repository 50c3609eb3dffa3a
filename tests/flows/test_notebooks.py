# SPDX-License-Identifier: Apache-2.0
"""Every notebook runs from the first cell to the last, on the build of the other tests and the stand-in device."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.command import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_LINES = 60
CONTROL = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f]")
"""What a terminal acts on, and Jupyter shows as rubbish: escape sequences, lines that are written over."""
RUNS = [(path, "cppsim") for path in NOTEBOOKS] + [(path, "rtlsim") for path in NOTEBOOKS if "device" in path.name]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("path", "device"), RUNS, ids=lambda value: getattr(value, "stem", value))
def test_runs(path: Path, device: str, tiny_build: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    variables = {
        "IR2NET_BUILD": str(tiny_build),
        "IR2NET_PACKAGE": str(tiny_build / "10_package" / "deploy"),
        "IR2NET_DEVICE": device,
        "PYTHONPATH": str(ROOT),
    }
    script = "from nbclient.cli import main; main()"
    command = [sys.executable, "-c", script, "--inplace", "--timeout=900", str(copy)]
    # where a test runs, a kernel does not show what is written to its descriptors
    left_out = {"IR2NET_DATA", "PYTEST_CURRENT_TEST"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out} | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    complaints = [complaint for cell in json.loads(copy.read_text())["cells"] for complaint in unreadable(cell)]
    assert complaints == []


def unreadable(cell: dict[str, Any]) -> Iterator[str]:
    """What a reader of a cell's output would complain of."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])]
    said = "".join("".join(text) for text in texts)
    if found := CONTROL.search(said):
        yield f"{found[0]!r} in {said[max(found.start() - 40, 0) : found.end() + 40]!r}"
    if said.count("\n") > MOST_LINES:
        yield f"{said.count(chr(10))} lines, from {said[:80]!r}"


@pytest.mark.parametrize("text", ["\x1b[2K build", "1 %\r2 %", "line\n" * 61, "\x08"])
def test_what_nobody_can_read_is_found(text: str) -> None:
    assert list(unreadable({"outputs": [{"output_type": "stream", "text": [text]}]}))
    assert list(unreadable({"outputs": [{"output_type": "execute_result", "data": {"text/plain": text}}]}))
    assert not list(unreadable({"outputs": [{"output_type": "stream", "text": "a\tb – c\n" * 60}]}))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len(cells) > len(code) > 3


def test_there_are_five() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5"]
