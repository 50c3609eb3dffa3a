# SPDX-License-Identifier: Apache-2.0
"""Every node gets its RTL implementation, ours or FINN's, and width converters stand where streams differ.

A node that would need HLS fails the build.
"""

from flows.pipeline import Context, Step
from flows.report.summary import StepResult


def run(context: Context) -> StepResult:
    """Specialise to RTL operators."""
    from hw import finn_env
    from hw.design.fifos import insert_width_converters
    from hw.transforms.specialise import specialise

    finn_env.setup(context.folder / "finn")
    model = specialise(context.model("fold"), context.board.part)
    context.save(insert_width_converters(model, context.board.part))
    return StepResult()


STEP = Step("specialise", run, needs=("fold",))
