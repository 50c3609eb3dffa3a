# SPDX-License-Identifier: Apache-2.0
"""The command line, run as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, without a data set."""
    environment = {name: value for name, value in os.environ.items() if name != "IR2NET_DATA"}
    command = [sys.executable, str(ROOT / "flows" / "build.py"), *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
