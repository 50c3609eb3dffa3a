# SPDX-License-Identifier: Apache-2.0
"""Changes to files of finn-rtllib that read_slang of Yosys 0.70 cannot read, applied to copies for synthesis.

What Verilator cannot read is changed first: the files are the same, and slang is as strict there.
"""

from __future__ import annotations

from pathlib import Path

from hw.rtlsim import patches as simulation
from hw.rtlsim.patching import Patch, PatchError

__all__ = ["PATCHES", "PatchError", "patched"]

_STRAY_DIRECTIVE = "slang takes `default_nettype only between modules"

PATCHES: tuple[Patch, ...] = (
    Patch("fifo.sv", _STRAY_DIRECTIVE, old=");\n`default_nettype none\n", new=");  // default_nettype none\n"),
    Patch(
        "fifo.sv",
        _STRAY_DIRECTIVE,
        old="`default_nettype wire\nendmodule",
        new="// default_nettype wire\nendmodule",
    ),
    Patch("vpc.sv", _STRAY_DIRECTIVE, old=");\n`default_nettype none\n", new=");  // default_nettype none\n"),
    Patch(
        "vpc.sv",
        _STRAY_DIRECTIVE,
        old="`default_nettype wire\nendmodule",
        new="// default_nettype wire\nendmodule",
    ),
    Patch(
        "thresholding.sv",
        "the part select has a null range in stage 0, where the shift gives the zero that is meant",
        old="p.ptr[M-1:SN+1] < 2**stage - SCOPE_REDUCE",
        new="(p.ptr[M-1:0] >> (SN+1)) < 2**stage - SCOPE_REDUCE",
    ),
    Patch(
        "mvu.sv",
        "the block only warns in simulation; its register is driven after a delay, which has no hardware",
        old="\tif(1) begin : blkRecoveryWatch",
        new="\tif(0) begin : blkRecoveryWatch",
    ),
)


def patched(path: Path) -> str:
    """Text of the source file at ``path`` with every patch for its name applied.

    Raises:
        PatchError: the file is not the one that a patch was written for.
        OSError: the file cannot be read.
    """
    text = simulation.patched(path, simulation.PATCHES).decode()
    for patch in PATCHES:
        if patch.file == path.name:
            text = patch.apply(text, path)
    return text
