# SPDX-License-Identifier: Apache-2.0
"""Every cell, with its default parameters, is read by slang and passes Yosys' own check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hw.rtl import sources

CELLS = (
    "popcount_chain",
    "popcount",
    "popcount_xnor",
    "popcount_columns",
    "popcount_groups",
    "popcount_delayed",
    "xnor_mvu",
    "xnor_stream",
    "stream_register",
    "stream_skid",
    "stream_fifo",
    "stream_duplicate",
    "stream_concat",
    "stream_add",
    "window_pool",
    "global_acc_pool",
    "label_select",
    "channel_pad",
    "channel_complement",
    "width_converter",
    "binary_window",
    "dsp_mvu",
    "signed_clip",
    "multiply_add",
)
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
