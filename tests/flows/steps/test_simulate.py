# SPDX-License-Identifier: Apache-2.0
"""The stitched simulation of a build: what is told when it is not exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.errors import ToolError
from flows.steps import simulate
from flows.steps.golden import load_golden

pytestmark = pytest.mark.timeout(1500)  # whoever comes first builds


@pytest.fixture
def context(tiny_build: Path, tmp_path: Path) -> Any:
    """What the step sees, of the finished build, but with a folder of its own."""
    folders = {path.name.partition("_")[2]: path for path in tiny_build.glob("*_*")}
    config = SimpleNamespace(label_select=False, output=tmp_path, verify=("rtlsim",), frames=2)
    return SimpleNamespace(
        config=config,
        folder=tmp_path,
        log=tmp_path / "simulate.log",
        clock_mhz=100.0,
        status=lambda text: None,
        path=lambda step, file: folders[step] / file,
    )


def test_streams_are_looked_through_when_a_frame_differs(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another logit is asked for than the network has, so no node is to blame, and that is told."""
    golden = load_golden(context)
    hardware = golden.hardware.copy()
    hardware[1, 3] += 1
    monkeypatch.setattr(simulate, "load_golden", lambda context: replace(golden, hardware=hardware))
    with pytest.raises(ToolError, match=r"stitched: 1 of 2 frames differ, the first is 1; but every stream"):
        simulate.run(context)


def test_both_runs_are_exact(context: Any) -> None:
    stages = [row["stage"] for row in simulate.run(context)["verification"]]
    assert stages == ["stitched", "stitched, random stalls"]
