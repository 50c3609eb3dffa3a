# SPDX-License-Identifier: Apache-2.0
"""One build of `tiny` for all tests of the flow, also when they run in several processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.flows.command import build


@pytest.fixture(scope="session")
def tiny_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a finished build of `tiny` for the PYNQ-Z2, and what it said; not to be changed."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "tiny"
    with FileLock(shared / "tiny.lock"):
        if not (folder / "report" / "summary.json").exists():
            result = build("--network", "tiny", "--board", "pynq-z2", "--output-dir", folder, "--json")
            assert result.returncode == 0, result.stderr
            (folder / "said.txt").write_text(result.stderr)
            (folder / "said.json").write_text(result.stdout)
    return folder
