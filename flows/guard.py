# SPDX-License-Identifier: Apache-2.0
"""A command under a guard, which outlives it and ends whatever it has left.

A process that is killed takes nothing with it: its compilers, and Yosys, go on for nobody. The guard has asked to be
given orphans, so they come to it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

import psutil

from hw.synth.worker import end_with_parent

_NOHUP = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
STOPPING = (signal.SIGINT, signal.SIGTERM, *(() if _NOHUP else (signal.SIGHUP,)))
"""What asks a command to stop: Ctrl-C, `kill`, and a terminal that is closed."""
_PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


def guarded(command: Callable[[], None]) -> None:
    """Run a command in a child of this process, which has no threads yet, and end as it does."""
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        end_with_parent(signal.SIGTERM)  # the guard can be killed too
        if os.getppid() == guard:
            command()
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in STOPPING:
        signal.signal(number, lambda received, _: os.kill(child, received))
    _, status = os.waitpid(child, 0)
    while left := psutil.Process().children(recursive=True):
        for process in left:
            process.kill()
        psutil.wait_procs(left)
    if os.WIFSIGNALED(status):
        reason = signal.Signals(os.WTERMSIG(status)).name
        print(f"error: ended by {reason}; the same command goes on from the last finished step", file=sys.stderr)
        sys.exit(2)
    sys.exit(os.waitstatus_to_exitcode(status))
