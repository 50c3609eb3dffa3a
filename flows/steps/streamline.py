# SPDX-License-Identifier: Apache-2.0
"""QONNX -> FINN's integer graph: scales gathered at the end, thresholds in place of batch norms."""

from flows.errors import UserError
from flows.pipeline import Context, Step
from flows.report.summary import StepResult
from hw.errors import MappingError


def run(context: Context) -> StepResult:
    """Streamline the exported graph."""
    from hw.transforms.streamline import streamline

    try:
        context.save(streamline(context.model("export")))
    except MappingError as error:
        raise UserError(str(error)) from error
    return StepResult()


STEP = Step("streamline", run, needs=("export",))
