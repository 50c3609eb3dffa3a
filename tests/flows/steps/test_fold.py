# SPDX-License-Identifier: Apache-2.0
"""Foldings that cannot be: a user's mistake is told, a target out of reach is warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.config import BuildConfig, load_config
from flows.errors import UserError
from flows.pipeline import Context
from flows.steps import fold
from hw.boards.board import load


def context(tiny_build: Path, tmp_path: Path, **options: Any) -> Context:
    return Context(
        config=BuildConfig(network="tiny", **options),
        board=load("pynq-z2"),
        folders={"convert": tiny_build / "03_convert", "fold": tmp_path},
        checkpoint=tmp_path / "unused",
        current="fold",
    )


@pytest.mark.timeout(1500)
def test_a_pe_that_does_not_divide_is_named(tiny_build: Path, tmp_path: Path) -> None:
    wanted = {"MVAU_1": {"PE": 3}}
    with pytest.raises(UserError, match=r"MVAU_1 as XnorMVAU_rtl_1: PE = 3 does not divide; it can be \[1, 2, "):
        fold.STEP.run(context(tiny_build, tmp_path, folding=wanted))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(1500)
def test_the_reports_folding_is_taken_again(tiny_build: Path, tmp_path: Path) -> None:
    wanted = load_config(tiny_build / "report" / "folding.yaml", {}).folding
    found = fold.run(context(tiny_build, tmp_path, folding=wanted, target_fps=1.0))
    assert found.nodes == wanted


@pytest.mark.timeout(1500)
def test_a_target_out_of_reach_is_warned_of(
    tiny_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fold.STEP.run(context(tiny_build, tmp_path, target_fps=10_000_000.0))
    assert found.warning is not None and found.warning.startswith("10 cycles a frame are out of reach")
    assert found.warning in capsys.readouterr().out  # the step's log
