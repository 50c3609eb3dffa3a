# SPDX-License-Identifier: Apache-2.0
"""The fit gate: a design has to fit beside shell and DMAs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.config import BuildConfig
from flows.errors import UserError
from flows.pipeline import Context
from flows.steps import synthesise
from hw.boards.board import load
from hw.design.design import Design
from hw.synth import design as synth
from hw.synth.design import NodeLevels
from hw.synth.levels import LogicPath
from hw.synth.resources import Resources

LEVELS = {"node": NodeLevels(inside=5, through=1, into=LogicPath("", "", 6, "a.x_q", "node.y_q.D"))}


def gate(monkeypatch: pytest.MonkeyPatch, used: Resources, **options: Any) -> synthesise.Synthesised:
    """The step's answer for a design of one node that takes `used`."""
    monkeypatch.setattr(Design, "load", lambda folder: None)
    monkeypatch.setattr(synth, "synthesise_design", lambda *_, **__: {"node": used})
    monkeypatch.setattr(synth, "count_levels", lambda *_, **__: LEVELS)
    context = Context(BuildConfig(network="tiny", **options), load("pynq-z2"), {"design": Path()}, Path())
    return synthesise.run(context)


@pytest.mark.parametrize("used", [{"lut": 46600}, {"ff": 97600}, {"bram36": 138.0}, {"dsp": 220}])
def test_what_shell_and_dmas_leave_fits(monkeypatch: pytest.MonkeyPatch, used: dict[str, float]) -> None:
    found = gate(monkeypatch, Resources(**used)).resources
    assert found.fits
    assert (found.available.lut, found.kept.lut) == (53200, 6600)


@pytest.mark.parametrize(
    ("used", "text"),
    [
        ({"lut": 46601}, "46601 LUT of 46600"),
        ({"ff": 97601}, "97601 FF of 97600"),
        ({"bram36": 138.5}, "138.5 BRAM36 of 138"),
        ({"dsp": 221}, "221 DSP of 220"),
    ],
)
def test_more_is_refused_or_reported(monkeypatch: pytest.MonkeyPatch, used: dict[str, float], text: str) -> None:
    with pytest.raises(UserError, match=f"does not fit pynq-z2: {text} that its shell and DMAs leave"):
        gate(monkeypatch, Resources(**used))
    assert gate(monkeypatch, Resources(**used), allow_overfit=True).resources.fits is False


def test_levels_of_logic(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gate(monkeypatch, Resources())
    assert found.levels is not None
    assert (found.levels.limit, found.levels.most, found.levels.over) == (4, 5, ("node",))
    assert (found.levels.across, found.levels.start, found.levels.end) == (6, "a.x_q", "node.y_q.D")
    node = found.nodes["node"]
    assert (node.levels, node.levels_through, node.levels_into) == (5, 1, 6)
