# SPDX-License-Identifier: Apache-2.0
"""deploy/: what goes to the board or to Vivado: RTL and ROMs, golden vectors, settings with the sha256 of each file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from flows.pipeline import Context, Step, digest

README = """\
{network} for {board} ({part}), {clock:g} MHz

rtl/           the whole accelerator; its top module is {top} in rtl/{wrapper}
golden.npz     images and the logits that the accelerator must give for them, integer for integer
settings.json  shapes, types, clock, and the sha256 of every file here

No bitfile is in this folder: it needs Vivado, which this flow does not. The ports of the top are s_axis_0 (pixels,
channels last, uint8) and m_axis_0 (results), AXI-stream, with ap_clk and ap_rst_n.
"""


def run(context: Context) -> dict[str, Any]:
    """Collect the package; files that share a name must share their content."""
    design = json.loads(context.path("stitch", "design.json").read_text())
    deploy = context.folder / "deploy"
    rtl = deploy / "rtl"
    rtl.mkdir(parents=True)
    for source in map(Path, design["sources"] + design["memories"]):
        shutil.copy(source, rtl / source.name)
    _relocate(rtl, design["memories"])
    shutil.copy(context.path("export", "golden.npz"), deploy)
    facts = {"network": context.config.network, "board": context.board.name, "part": context.board.part}
    wrapper = Path(design["wrapper"]).name
    (deploy / "README").write_text(README.format(**facts, clock=context.clock_mhz, top=design["top"], wrapper=wrapper))
    files = {str(p.relative_to(deploy)): digest(p) for p in sorted(deploy.rglob("*")) if p.is_file()}
    settings = facts | {
        "clock_mhz": context.clock_mhz,
        "checkpoint": digest(context.checkpoint),
        "top": design["top"],
        "input": design["input"],
        "output": design["output"],
        "files": files,
    }
    (deploy / "settings.json").write_text(json.dumps(settings, indent=1))
    return {"files": len(files)}


def _relocate(rtl: Path, memories: list[str]) -> None:
    """Name ROM files relative to the folder they now share with the sources."""
    for source in rtl.iterdir():
        if source.suffix in (".v", ".sv"):
            text = source.read_text()
            for memory in memories:
                text = text.replace(memory, Path(memory).name)
            source.write_text(text)


STEP = Step("package", run, needs=("export", "stitch"))
