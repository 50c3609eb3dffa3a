# SPDX-License-Identifier: Apache-2.0
"""Stands in for a build in tests of the sweep: its options are on standard input, its board says how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    summary = json.loads(Path(sys.argv[1]).read_text())
    options = {"network": "resnet20", "board": "pynq-z2", "target_fps": 5000} | json.load(sys.stdin)
    board, folder, fps = options["board"], Path(options["output_dir"]), options["target_fps"]
    folder.mkdir(parents=True)  # one that is built twice would fail here
    if board == "broken":
        sys.exit("  export  1.0 s\nerror: step 'export' failed: no reason (log: x.log)")
    if board == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if board == "slow":
        subprocess.run(["sleep", "100"], check=False)
    while board == "both" and len(list(folder.parent.glob("*/"))) < 2:  # of two, neither ends before the other began
        time.sleep(0.01)
    summary |= {"network": options["network"], "board": board, "accuracy": None}
    summary["performance"] |= {"fps": fps, "interval_cycles": round(1e8 / fps)}
    print(json.dumps(summary))
