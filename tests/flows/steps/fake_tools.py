# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for Vivado, Vitis HLS and v++ on PATH: they run the Tcl in tclsh and leave what FINN looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.deploy.tclcheck import RECORDER

TOOLS = {
    "vivado": f"""while [ "$1" != -source ]; do shift; done
exec tclsh {RECORDER} "$2" "$(dirname "$2")/records"
""",
    "vitis_hls": 'mkdir -p "$(sed -n "s/^set config_proj_name //p" "$1")/sol1/impl/ip"\n',
    "v++": 'while [ $# -gt 0 ]; do case "$1" in -o|--output) touch "$2";; esac; shift; done; touch a.xclbin\n',
}


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put them on PATH, with the variables that settings64.sh and FINN set."""
    for name, text in TOOLS.items():
        path = folder / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    (folder / "deps" / "finn-hlslib").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    monkeypatch.setenv("FINN_DEPS", str(folder / "deps"))
    monkeypatch.setenv("XILINX_VIVADO", "/tools/Xilinx/Vivado/2022.2")
    monkeypatch.setenv("NUM_DEFAULT_WORKERS", "1")
