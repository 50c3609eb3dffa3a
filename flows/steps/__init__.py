# SPDX-License-Identifier: Apache-2.0
"""The steps of the build, one a file, run in the order of ORDER."""

from flows.pipeline import Step
from flows.steps import (
    bitfile,
    convert,
    design,
    export,
    fold,
    package,
    report,
    simulate,
    specialise,
    streamline,
    synthesise,
    verify,
)

ORDER: tuple[Step, ...] = (
    export.STEP,
    streamline.STEP,
    convert.STEP,
    fold.STEP,
    specialise.STEP,
    verify.STEP,
    design.STEP,
    simulate.STEP,
    synthesise.STEP,
    package.STEP,
    bitfile.STEP,
    report.STEP,
)
