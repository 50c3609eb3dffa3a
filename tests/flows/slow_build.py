# SPDX-License-Identifier: Apache-2.0
"""The command line with steps that do nothing but wait, as long as a file is there: slow_build.py FILE OPTIONS."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.pipeline import Context
    from flows.report.summary import StepResult


def wait_in_tool(number: int) -> int:
    """As a worker does that runs a compiler."""
    return subprocess.run(["sleep", "100"], check=False).returncode


def slow(context: Context) -> StepResult:
    """Wait for tools that a thread and a worker process run, one after the other, unless the file is gone."""
    (context.folder / "half").write_text("written")
    if waits.exists():
        spawn = multiprocessing.get_context("spawn")
        with ThreadPoolExecutor(1) as threads, ProcessPoolExecutor(1, spawn) as processes:
            runs = [pool.submit(wait_in_tool, number) for pool in (threads, processes) for number in range(4)]
            for run in runs:
                run.result()
    from flows.report.summary import StepResult

    return StepResult()


if __name__ == "__main__":
    # here: the workers, which read this file too, need none of it
    from flows import build, steps
    from flows.pipeline import Step
    from flows.report.summary import StepResult

    waits = Path(sys.argv.pop(1))
    steps.ORDER = (Step("fast", lambda _: StepResult()), Step("slow", slow), Step("last", lambda _: StepResult()))
    build.inputs = lambda config: waits.with_name("weights")
    build.main()
