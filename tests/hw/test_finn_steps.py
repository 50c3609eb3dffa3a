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


@pytest.mark.timeout(600)
def test_finns_builder_takes_the_steps(tmp_path: Path) -> None:
    binary(18, 8, 1, 1, [1, 4, 4]).save(str(tmp_path / "model.onnx"))
    (tmp_path / "folding.json").write_text(json.dumps({"Defaults": {}, "XnorMVAU_rtl_0": {"PE": 4}}))
    example = (ROOT / "docs" / "finn-build.yaml").read_text()
    (tmp_path / "build.yaml").write_text(f"folding_config_file: folding.json\n{example}")
    command = [sys.executable, "-m", "hw.finn_steps", "build.yaml", "model.onnx"]
    environment = {name: value for name, value in os.environ.items() if name != "XILINX_VIVADO"} | {
        "PYTHONPATH": str(ROOT)
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    design = Design.load(tmp_path / "finn-output" / "ir2net_design")
    (unit,) = (node for node in design.nodes if node.op == "XnorMVAU_rtl")
    assert unit.folding["PE"] == 4
    figures = json.loads((tmp_path / "finn-output" / "report" / "ir2net_simulation.json").read_text())
    assert figures["fps"] >= 100000
    assert figures["interval_cycles"] >= unit.cycles
