# SPDX-License-Identifier: Apache-2.0
"""The example of docs: FINN's own builder runs this project's steps up to a stitched design that was simulated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw.design.design import Design
from tests.hw.ops.nodes import binary

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from finn.builder.build_dataflow import build_dataflow_cfg
from finn.builder.build_dataflow_config import DataflowBuildConfig
cfg = DataflowBuildConfig.from_yaml(Path(sys.argv[2]).read_text())
cfg.output_dir = "out"
cfg.folding_config_file = Path("folding.json")
sys.exit(build_dataflow_cfg(sys.argv[1], cfg))
"""


@pytest.mark.timeout(600)
def test_finns_builder_takes_the_steps(tmp_path: Path) -> None:
    binary(18, 8, 1, 1, [1, 4, 4]).save(str(tmp_path / "model.onnx"))
    (tmp_path / "folding.json").write_text(json.dumps({"Defaults": {}, "XnorMVAU_rtl_0": {"PE": 4}}))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "model.onnx", str(ROOT / "docs" / "finn-build.yaml")],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "XILINX_VIVADO": str(tmp_path), "FINN_SETTINGS": str(tmp_path / "s.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    design = Design.load(tmp_path / "out" / "ir2net_design")
    (unit,) = (node for node in design.nodes if node.op == "XnorMVAU_rtl")
    assert unit.folding["PE"] == 4
    figures = json.loads((tmp_path / "out" / "report" / "ir2net_simulation.json").read_text())
    assert figures["fps"] >= 100000
    assert figures["interval_cycles"] >= unit.cycles
