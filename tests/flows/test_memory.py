# SPDX-License-Identifier: Apache-2.0
"""The peak is that of all processes together, not of the largest."""

import subprocess
import sys
import time

from flows.memory import PeakMemory

MB = 1_000_000
# A child whose own child holds as much as it does, until its standard input ends.
HOLD = f"""
import subprocess, sys
held = bytearray({100 * MB})
if len(sys.argv) > 1:
    subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=0)
else:
    print("held", flush=True)
sys.stdin.read()
"""


def test_memory_of_children_and_their_children_is_added_up() -> None:
    with PeakMemory() as memory:
        alone = memory.mb
        with subprocess.Popen([sys.executable, "-c", HOLD, HOLD], stdin=-1, stdout=-1, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "held\n"
            time.sleep(1)  # the watch looks by itself
            child.communicate("")
        assert alone + 200 <= memory.mb < alone + 400
