# SPDX-License-Identifier: Apache-2.0
"""What every stream has to bear: a reset in the middle of a frame, a source and a sink that stall at random."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hw.streams.sim import Beats, Simulation, SimulationError, StallError

STALL = 0.3
"""Probability, each cycle, that a source holds back a beat, and that a sink is not ready."""
PATIENCE = 10_000
"""Cycles without a transfer after which a run under stress counts as standing still."""
FRAMES = 2
"""Sent back to back: a beat too many or too few in the first shifts the second."""


class StressError(SimulationError):
    """A design that is right while nothing disturbs it, and wrong otherwise."""


def check(simulation: Simulation, inputs: Mapping[str, Beats], expected: Mapping[str, Beats], seed: int = 1) -> None:
    """Break a frame off with a reset, then send it twice, with stalls on all sides.

    Args:
        simulation: a design in any state.
        inputs: stream -> all beats of one frame or more.
        expected: stream -> the beats that they give, as an undisturbed run shows.
        seed: of the stalls.

    Raises:
        StressError: other beats than expected.
        ProtocolError: a payload that changes while it waits, or an output during reset.
        StallError: fewer beats than expected.
    """
    simulation.reset()
    some = {name: len(beats) // 4 for name, beats in expected.items()}
    break_off(simulation, inputs, some, stall_in=STALL, stall_out=STALL, seed=seed + 1, idle_limit=100)
    twice = {name: np.concatenate([beats] * FRAMES) for name, beats in inputs.items()}
    counts = {name: FRAMES * len(beats) for name, beats in expected.items()}
    result = simulation.run(twice, counts, stall_in=STALL, stall_out=STALL, seed=seed, idle_limit=PATIENCE)
    for name, beats in expected.items():
        wrong = np.flatnonzero((result.outputs[name] != np.concatenate([beats] * FRAMES)).any(axis=1))
        if len(wrong):
            raise StressError(
                f"{name}: after a reset and with stalls, {len(wrong)} of {counts[name]} beats differ, "
                f"the first is {wrong[0]}"
            )


def break_off(simulation: Simulation, frame: Mapping[str, Beats], outputs: Mapping[str, int], **options: Any) -> None:
    """Send the first half of a frame, see `Simulation.run`, then reset."""
    half = {name: beats[: len(beats) // 2 + 1] for name, beats in frame.items()}
    with contextlib.suppress(StallError):  # a design may take less, and need not give all of `outputs`
        simulation.run(half, outputs, **options)
    simulation.reset(offer=True)
