# SPDX-License-Identifier: Apache-2.0
"""Yosys in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hw.synth import yosys

START = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.mark.timeout(120)
def test_yosys_ends_with_what_was_to_read_its_result(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source.v")  # Yosys waits for somebody who writes into it
    (tmp_path / "script.ys").write_text("tee -q -o begun log begun\nread_verilog source.v\n")
    command = [sys.executable, "-c", START, sys.executable, "-P", yosys._WORKER, "script.ys"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as parent:
        while not (tmp_path / "begun").exists():
            assert parent.poll() is None
            time.sleep(0.1)
        (worker,) = psutil.Process(parent.pid).children()
        parent.kill()
    _, alive = psutil.wait_procs([worker], timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
