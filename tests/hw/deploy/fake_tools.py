# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for Vivado, Vitis HLS and v++ on PATH: they run the Tcl in tclsh and leave what FINN looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hw.deploy import reports
from tests.hw.deploy.tclcheck import RECORDER

FINN = "finn.transformation.fpgadataflow"
TOOLS = {
    "vivado": f"""while [ "$1" != -source ]; do shift; done
tclsh {RECORDER} "$2" /dev/null || exit 1
[ -d finn_zynq_link.runs/impl_1 ] || exit 0
cat > finn_zynq_link.runs/impl_1/top_wrapper_timing_summary_routed.rpt <<'END'
{reports.TIMING}
END
cat > finn_zynq_link.runs/impl_1/top_wrapper_utilization_placed.rpt <<'END'
{reports.UTILIZATION_7}
END
""",
    "vitis_hls": f"""tclsh {RECORDER} "$1" /dev/null || exit 1
mkdir -p "$(sed -n "s/^set config_proj_name //p" "$1")/sol1/impl/ip"
""",
    "v++": f"""mkdir -p _x/link/vivado/vpl/prj/prj.runs/impl_1
touch a.xclbin _x/link/vivado/vpl/prj/prj.xpr
cd _x/link/vivado/vpl/prj/prj.runs/impl_1
cat > hw_bb_locked_timing_summary_routed.rpt <<'END'
{reports.TIMING}
END
cat > full_util_routed.rpt <<'END'
{reports.UTILIZATION_PLUS}
END
""",
    "kernelinfo": 'cat "$2"\n',
}


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put them on PATH, with the variables that settings64.sh, XRT's setup.sh and FINN set."""
    for name, text in TOOLS.items():
        path = folder / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    (folder / "deps" / "finn-hlslib").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    monkeypatch.setenv("FINN_DEPS", str(folder / "deps"))
    monkeypatch.setenv("XILINX_VIVADO", "/tools/Xilinx/Vivado/2022.2")
    monkeypatch.setenv("XILINX_VITIS", "/tools/Xilinx/Vitis/2022.2")
    monkeypatch.setenv("XILINX_XRT", "/opt/xilinx/xrt")
    monkeypatch.setenv("PLATFORM_REPO_PATHS", "/opt/xilinx/platforms")
    monkeypatch.setenv("NUM_DEFAULT_WORKERS", "1")
    # FINN waits for each of some hundred files to be there for a while
    monkeypatch.setattr(f"{FINN}.create_stitched_ip.wait_for_file", lambda path, **_: path.is_file())
