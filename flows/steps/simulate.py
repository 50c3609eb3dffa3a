# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator, cycle by cycle: frames back to back, and again with a reset before and stalls at both ends."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError
from flows.pipeline import Context, Skipped, Step
from flows.steps.golden import load_golden
from hw.compare import DIFFERENCE

STALL = 0.3
"""Probability, each cycle, that the source holds back a beat, and that the sink is not ready."""
SEED = 1
"""Of the stalls."""


def run(context: Context) -> dict[str, Any]:
    """Simulate the stitched design; interval and latency come from the run without stalls."""
    from hw import finn_env
    from hw.rtlsim.sim import SimulationError, StallError
    from hw.rtlsim.stitch import stitch
    from hw.rtlsim.stitched import simulate

    if "rtlsim" not in context.config.verify:
        raise Skipped("rtlsim was not asked for (--verify)")
    finn_env.setup(context.folder / "finn")
    model = ModelWrapper(str(context.path("stitch", "model.onnx")))
    design = stitch(model, context.folder)
    golden = load_golden(context)
    picks = np.arange(context.config.frames) % len(golden.images)
    frames = golden.images[picks].transpose(0, 2, 3, 1)  # the hardware takes channels last
    rows = []
    performance: dict[str, Any] = {}
    for stage, stall in (("stitched", 0.0), ("stitched, random stalls", STALL)):
        context.status(f"{stage}: {len(frames)} frames")
        began = time.monotonic()
        try:
            result = simulate(design, frames, **_options(stall))
        except (StallError, SimulationError) as error:
            raise _explained(context, stage, model, golden.images[picks], stall=stall, problem=str(error)) from error
        wrong = np.flatnonzero((result.outputs != golden.hardware[picks]).reshape(len(picks), -1).any(axis=1))
        if len(wrong):
            problem = f"{len(wrong)} of {len(frames)} frames differ, the first is {wrong[0]}"
            raise _explained(context, stage, model, golden.images[picks], stall=stall, problem=problem)
        seconds = round(time.monotonic() - began, 2)
        rows.append({"stage": stage, "engine": "rtlsim", "images": len(frames), "mismatches": 0, "seconds": seconds})
        if not stall:
            performance = {
                "interval_cycles": result.interval,
                "latency_cycles": result.latency,
                "fps": round(context.clock_mhz * 1e6 / result.interval, 1),
            }
    return {"performance": performance, "verification": rows}


def _options(stall: float) -> dict[str, Any]:
    """With stalls comes a reset in the middle of a frame."""
    return {"stall_in": stall, "stall_out": stall, "seed": SEED, "interrupt": stall > 0}


def _explained(
    context: Context, stage: str, model: Any, images: NDArray[np.uint8], *, stall: float, problem: str
) -> ToolError:
    """The error for a run that went wrong, with the node that is to blame: the run is repeated with all in view."""
    from hw.rtlsim.sim import SimulationError
    from hw.rtlsim.trace import explain
    from hw.transforms.verify import tensors

    context.status(f"{stage}: {problem}; looking for the node")
    report = context.config.output / "report"
    expected = [tensors(model, image) for image in images]
    frames = images.transpose(0, 2, 3, 1)
    try:
        found = explain(model, frames, expected, context.folder / "traced", report, **_options(stall))
    except SimulationError as error:  # what the design says of itself names the module
        return ToolError(f"{stage}: {error}", context.log)
    if found is None:
        return ToolError(f"{stage}: {problem}; but every stream between nodes is as Python has it", context.log)
    return ToolError(f"{stage}: {problem}; {found}", report / DIFFERENCE if found.difference else context.log)


STEP = Step(
    "simulate",
    run,
    options=("frames", "verify"),
    needs=("export", "convert", "stitch"),
    compiles=lambda config: "rtlsim" in config.verify,
)
