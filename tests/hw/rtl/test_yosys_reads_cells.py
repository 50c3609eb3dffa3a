# SPDX-License-Identifier: Apache-2.0
"""Every cell that has default parameters is read by slang and passes Yosys' own check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hw.rtl import RTL_DIR, sources

FROM_A_FILE = {"grouped_mvu", "requantise", "residual_join", "xnor_mvu_axi"}
"""Cells with a memory whose file has no default."""
CELLS = tuple(path.stem for path in sorted(RTL_DIR.glob("*.sv")) if path.stem not in FROM_A_FILE | {"popcount_pkg"})
# Yosys ends the process on an error, so it runs in one of its own.
RUN = "import sys; from pyosys import libyosys as y; d = y.Design(); [y.run_pass(c, d) for c in sys.argv[1:]]"


def check(files: list[Path], tops: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    names = " ".join(str(file) for file in files)
    passes = [
        step
        for top in tops
        for step in (
            f"read_slang --ignore-assertions --top {top} {names}",
            "proc",
            "opt_clean",
            "check -assert",
            "design -reset",
        )
    ]
    return subprocess.run([sys.executable, "-c", RUN, *passes], capture_output=True, text=True, check=False)


def test_read_and_checked() -> None:
    done = check(list(dict.fromkeys(file for cell in CELLS for file in sources(cell))), CELLS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("Found and reported 0 problems.") == len(CELLS)


def test_a_bad_cell_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.sv"
    bad.write_text("module bad (input a, input b, output c); assign c = a; assign c = b; endmodule\n")
    assert check([bad], ("bad",)).returncode != 0
