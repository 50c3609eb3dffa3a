# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator, cycle by cycle: several frames back to back, and again with random stalls on both ends."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError
from flows.pipeline import Context, Skipped, Step
from flows.steps.golden import compare, load_golden

STALL = 0.3
"""Probability, each cycle, that the source holds back a beat, and that the sink is not ready."""


def run(context: Context) -> dict[str, Any]:
    """Simulate the stitched design; interval and latency come from the run without stalls."""
    from hw import finn_env
    from hw.rtlsim.sim import SimulationError, StallError
    from hw.rtlsim.stitch import stitch
    from hw.rtlsim.stitched import simulate

    if "rtlsim" not in context.config.verify:
        raise Skipped("rtlsim was not asked for (--verify)")
    finn_env.setup(context.folder / "finn")
    design = stitch(ModelWrapper(str(context.path("stitch", "model.onnx"))), context.folder)
    golden = load_golden(context)
    picks = np.arange(context.config.frames) % len(golden.images)
    frames = golden.images[picks].transpose(0, 2, 3, 1)  # the hardware takes channels last
    rows = []
    performance: dict[str, Any] = {}
    for stage, stall in (("stitched", 0.0), ("stitched, random stalls", STALL)):
        context.status(f"{stage}: {len(frames)} frames")
        began = time.monotonic()
        try:
            result = simulate(design, frames, stall_in=stall, stall_out=stall, seed=1)
        except (StallError, SimulationError) as error:
            raise ToolError(f"{stage}: {error}", context.log) from error
        compare(
            stage, golden.hardware[picks], result.outputs.astype(np.float32), context.log.with_name("difference.log")
        )
        seconds = round(time.monotonic() - began, 2)
        rows.append({"stage": stage, "engine": "rtlsim", "images": len(frames), "mismatches": 0, "seconds": seconds})
        if not stall:
            performance = {
                "interval_cycles": result.interval,
                "latency_cycles": result.latency,
                "fps": round(context.clock_mhz * 1e6 / result.interval, 1),
            }
    return {"performance": performance, "verification": rows}


STEP = Step(
    "simulate",
    run,
    options=("frames", "verify"),
    needs=("export", "convert", "stitch"),
    compiles=lambda config: "rtlsim" in config.verify,
)
