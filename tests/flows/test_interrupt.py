# SPDX-License-Identifier: Apache-2.0
"""A build that is ended in the middle of a step: one line, no process and no half-made file left; the next goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.flows.command import ROOT


def start(waits: Path, output: Path) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("slow_build.py")
    command = [sys.executable, script, waits, "--network", "tiny", "--output-dir", output]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("IR2NET_DATA", None)
    known = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGHUP, known)


def waiting_tools(build: psutil.Process) -> list[psutil.Process]:
    """All processes of the build, as soon as two tools run."""
    while True:
        assert build.is_running()
        children = build.children(recursive=True)
        if sum(child.name() == "sleep" for child in children) == 2:
            return children
        time.sleep(0.1)


def still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended, after some time."""
    _, alive = psutil.wait_procs([process for process in processes if process.is_running()], timeout=20)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "kill"])
def test_an_interrupted_build_goes_on(tmp_path: Path, whole_group: bool) -> None:
    """A terminal sends the signal to the tools too, `kill -INT` to the build alone."""
    waits, output = tmp_path / "waits", tmp_path / "out"
    waits.touch()
    (tmp_path / "weights").touch()
    build = start(waits, output)
    children = waiting_tools(psutil.Process(build.pid))
    (os.killpg if whole_group else os.kill)(build.pid, signal.SIGINT)
    _, said = build.communicate(timeout=60)
    assert build.returncode == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert line == "error: interrupted in step 'slow'; the same command goes on from there"
    assert "Traceback" not in said
    assert still_there(children) == []
    assert sorted(path.name for path in output.iterdir()) == [".lock", "01_fast", "logs"]

    waits.unlink()
    again = start(waits, output)
    _, said = again.communicate(timeout=240)
    assert again.returncode == 0
    assert [line.split()[:2] for line in said.splitlines()[1:4]] == [
        ["fast", "cached"],
        ["slow", "done"],
        ["last", "done"],
    ]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("end_guard", [True, False], ids=["guard", "build"])
def test_whatever_ends_a_build_ends_its_tools(tmp_path: Path, number: signal.Signals, end_guard: bool) -> None:
    """SIGKILL of the build is what it meets when memory runs out."""
    waits = tmp_path / "waits"
    waits.touch()
    (tmp_path / "weights").touch()
    guard = start(waits, tmp_path / "out")
    children = waiting_tools(psutil.Process(guard.pid))
    (build,) = psutil.Process(guard.pid).children()
    os.kill(guard.pid if end_guard else build.pid, number)
    assert still_there(children) == []
    _, said = guard.communicate(timeout=60)
    if number != signal.SIGKILL:
        assert (guard.returncode, "interrupted in step 'slow'" in said) == (1, True)
    elif not end_guard:
        assert guard.returncode == 2
        assert "error: ended by SIGKILL" in said


@pytest.mark.parametrize("consequence", ["raise", "raise RecursionError"], ids=["swallowed by typer", "half imported"])
def test_an_interrupt_between_steps_is_told(consequence: str) -> None:
    script = f"""
import os, signal
from flows import build
def run(*options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        {consequence}
build.run = run
build.main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    expected = "error: interrupted; the same command goes on from the last finished step\n"
    assert (done.returncode, done.stderr) == (1, expected)
