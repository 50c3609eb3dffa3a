# SPDX-License-Identifier: Apache-2.0
"""The stitched simulation of a build: what is told when it is not exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.errors import ToolError
from flows.pipeline import Context
from flows.steps import simulate
from flows.steps.golden import load_golden
from tests.flows import finished

pytestmark = pytest.mark.timeout(1500)  # whoever comes first builds


@pytest.fixture
def context(tiny_build: Path, tmp_path: Path) -> Context:
    return finished.context(tiny_build, "simulate", tmp_path, frames=2)


def test_streams_are_looked_through_when_a_frame_differs(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another logit is asked for than the network has, so no node is to blame, and that is told."""
    golden = load_golden(context)
    hardware = golden.hardware.copy()
    hardware[1, 3] += 1
    monkeypatch.setattr(simulate, "load_golden", lambda context: replace(golden, hardware=hardware))
    with pytest.raises(ToolError, match=r"stitched: 1 of 2 frames differ, the first is 1; but every stream"):
        simulate.run(context)


def test_both_runs_are_exact(context: Context) -> None:
    found = simulate.run(context)
    assert [row.stage for row in context.compared] == ["nodes", "stitched", "stitched, random stalls"]
    assert found.interval_cycles == context.result(simulate.Simulated).interval_cycles
