# SPDX-License-Identifier: Apache-2.0
"""deploy/: what goes to the board or to Vivado: RTL and ROMs, golden vectors, settings with the sha256 of each file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError
from flows.pipeline import Context, Step, digest

MEMORY = re.compile(r'"(/[^"\n]+)"')
"""A string in a source that may be the path of a ROM file, or the part that the paths of several begin with."""

README = """\
{network} for {board} ({part}), {clock_mhz:g} MHz

rtl/           the whole accelerator; its top module is {top}; simulate or synthesise it with rtl/ as working folder
golden.npz     images, and the logits that the accelerator must give for them, integer for integer
settings.json  streams, clock, and the sha256 of every file here

No bitfile is in this folder: that takes Vivado. The top has ap_clk, ap_rst_n (active low) and two AXI streams:
s_axis_0 (pixels, channels last, uint8) and m_axis_0 (results).
"""


def run(context: Context) -> dict[str, Any]:
    """Collect the package."""
    from hw import finn_env
    from hw.rtlsim.stitch import Edge, stitch

    def stream(edge: Edge) -> dict[str, Any]:
        end = edge.stream
        return {"shape": end.shape, "type": end.datatype.name, "beats": end.beats, "bits": end.width}

    finn_env.setup(context.folder / "finn")
    design = stitch(ModelWrapper(str(context.path("stitch", "model.onnx"))), context.folder / "stitched")
    deploy = context.folder / "deploy"
    (deploy / "rtl" / "rom").mkdir(parents=True)
    for source in design.sources:
        _copy_source(source, deploy / "rtl")
    shutil.copy(context.path("export", "golden.npz"), deploy)
    facts = {
        "network": context.config.network,
        "board": context.board.name,
        "part": context.board.part,
        "clock_mhz": context.clock_mhz,
        "top": design.top,
    }
    (deploy / "README").write_text(README.format(**facts))
    files = {str(path.relative_to(deploy)): digest(path) for path in sorted(deploy.rglob("*")) if path.is_file()}
    streams = {"input": stream(design.inputs[0]), "output": stream(design.outputs[0])}
    settings = facts | {"checkpoint": digest(context.checkpoint)} | streams | {"files": files}
    (deploy / "settings.json").write_text(json.dumps(settings, indent=1))
    return {"files": len(files)}


def _copy_source(source: Path, rtl: Path) -> None:
    """Copy a source, with the ROM files it reads, whose paths become relative to the package."""

    def relocate(match: re.Match[str]) -> str:
        start = Path(match.group(1))
        found = sorted(start.parent.glob(f"{start.name}*")) if start.parent.is_dir() else []
        if not found:
            return match.group(0)
        prefix = f"{start.parent.name}_"
        for memory in found:
            shutil.copy(memory, rtl / "rom" / f"{prefix}{memory.name}")
        return f'"./rom/{prefix}{start.name}"'

    text = MEMORY.sub(relocate, source.read_text())
    target = rtl / source.name
    if target.exists() and target.read_text() != text:
        raise ToolError(f"two different sources are called {source.name}")
    target.write_text(text)


STEP = Step("package", run, needs=("export", "stitch"))
