# SPDX-License-Identifier: Apache-2.0
"""The RTL, cycle by cycle: every node on its own, then the whole accelerator, undisturbed and disturbed.

Undisturbed, frames come back to back; disturbed, a reset breaks a first one off, and both ends stall at random.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.errors import ToolError
from flows.pipeline import Context, Skipped, Step
from flows.report.summary import StepResult
from flows.steps.golden import Golden, load_golden
from hw.compare import DIFFERENCE, save
from hw.design.design import Design
from hw.streams.sim import SimulationError, StallError

SEED = 1
"""Of the stalls."""


class Simulated(StepResult):
    """Of the whole design, in the run without stalls."""

    interval_cycles: int | None = None
    latency_cycles: int | None = None


def run(context: Context) -> Simulated:
    """Simulate the design's nodes and the whole."""
    from hw import finn_env
    from hw.rtlsim.stress import STALL
    from hw.rtlsim.whole import simulate

    if "rtlsim" not in context.config.verify:
        raise Skipped("rtlsim was not asked for (--verify)")
    finn_env.setup(context.folder / "finn")
    design = Design.load(context.path("design", "design"))
    golden = load_golden(context)
    _compare_nodes(context, design, golden)
    picks = np.arange(context.config.frames) % len(golden.images)
    images = golden.images[picks]
    frames = np.moveaxis(images, 1, -1)  # the hardware takes channels last
    figures: dict[str, Any] = {}
    disturbed: dict[str, Any] = {"stall_in": STALL, "stall_out": STALL, "seed": SEED, "interrupt": True}
    for stage, options in (("stitched", {}), ("stitched, random stalls", disturbed)):
        context.status(f"{stage}: {len(frames)} frames")
        with context.comparing(stage, "rtlsim", len(frames)):
            try:
                result = simulate(design, frames, **options)
                wrong = np.flatnonzero((result.outputs != golden.hardware[picks]).reshape(len(picks), -1).any(axis=1))
                if len(wrong):
                    raise ToolError(f"{len(wrong)} of {len(frames)} frames differ, the first is {wrong[0]}")
            except (StallError, SimulationError, ToolError) as error:
                problem = str(error)
                raise _explained(context, stage, design, images, options=options, problem=problem) from error
        figures = figures or {"interval_cycles": result.interval, "latency_cycles": result.latency}
    return Simulated(**figures)


def _compare_nodes(context: Context, design: Design, golden: Golden) -> None:
    from hw.rtlsim.nodes import check_nodes
    from hw.transforms.verify import tensors

    context.status(f"compiling {len(design.modules)} modules side by side")
    expected = tensors(context.model("design"), golden.images[0])
    with context.comparing("nodes", "rtlsim", 1):
        results = check_nodes(design, expected)
        wrong = [result for result in results if result.difference is not None]
        if wrong:
            first = wrong[0].difference
            assert first is not None and wrong[0].got is not None
            text = "".join(f"{result.difference}\n" for result in wrong)
            context.log.with_name("node-differences.log").write_text(text)
            path = save(first, expected, {first.tensor: wrong[0].got}, context.config.output / "report")
            raise ToolError(f"RTL differs from Python: {first}", path)


def _explained(
    context: Context, stage: str, design: Design, images: NDArray[np.uint8], *, options: dict[str, Any], problem: str
) -> ToolError:
    """The error for a run that went wrong, with the node that is to blame: the run is repeated with all in view."""
    from hw.rtlsim.trace import explain
    from hw.transforms.verify import tensors

    context.status(f"{stage}: {problem}; looking for the node")
    report = context.config.output / "report"
    model = context.model("design")
    expected = [tensors(model, image) for image in images]
    frames = np.moveaxis(images, 1, -1)
    try:
        found = explain(design, frames, expected, report, **options)
    except SimulationError as error:  # what the design says of itself names the module
        return ToolError(f"{stage}: {error}", context.log)
    if found is None:
        return ToolError(f"{stage}: {problem}; but every stream between nodes is as Python has it", context.log)
    return ToolError(f"{stage}: {problem}; {found}", report / DIFFERENCE if found.difference else context.log)


STEP = Step(
    "simulate",
    run,
    Simulated,
    options=("frames", "verify", "images"),
    needs=("export", "convert", "design"),
    compiles=lambda config: "rtlsim" in config.verify,
)
