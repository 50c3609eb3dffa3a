# SPDX-License-Identifier: Apache-2.0
"""QONNX -> FINN's integer graph: scales gathered at the end, thresholds in place of batch norms."""

from flows.pipeline import Context, Step
from flows.report.summary import StepResult


def run(context: Context) -> StepResult:
    """Streamline the exported graph."""
    from hw.transforms.streamline import streamline

    context.save(streamline(context.model("export")))
    return StepResult()


STEP = Step("streamline", run, needs=("export",))
