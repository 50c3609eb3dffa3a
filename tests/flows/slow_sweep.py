# SPDX-License-Identifier: Apache-2.0
"""`ir2net sweep` whose builds are fake_build.py: slow_sweep.py SUMMARY OPTIONS."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    from flows import sweep

    sweep.BUILD = (sys.executable, str(Path(__file__).with_name("fake_build.py")), sys.argv.pop(1))
    sweep.main(sweep.app)
