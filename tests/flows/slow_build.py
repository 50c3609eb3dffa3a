# SPDX-License-Identifier: Apache-2.0
"""The command line with steps that do nothing but wait, as long as a file is there: slow_build.py FILE OPTIONS."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.pipeline import Context


def wait_in_tool(number: int) -> int:
    """As a worker does that runs a compiler."""
    return subprocess.run(["sleep", "100"], check=False).returncode


def slow(context: Context) -> dict[str, Any]:
    """Wait in two worker processes, unless the file is gone."""
    (context.folder / "half").write_text("written")
    if waits.exists():
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(wait_in_tool, range(4)))
    return {}


if __name__ == "__main__":
    # here: the workers, which read this file too, need none of it
    from flows import build, steps
    from flows.pipeline import Step

    waits = Path(sys.argv.pop(1))
    steps.ORDER = (Step("fast", lambda _: {}), Step("slow", slow), Step("report", lambda _: {}))
    build._inputs = lambda config: waits.with_name("weights")
    build.main()
