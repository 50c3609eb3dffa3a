# SPDX-License-Identifier: Apache-2.0
"""The steps of the build, one per file, run in the order of ORDER."""

from flows.pipeline import Step
from flows.steps import (
    bitfile,
    convert,
    design,
    export,
    fold,
    package,
    report,
    route,
    simulate,
    specialise,
    streamline,
    synthesise,
    verify,
)

ON_GRAPHS = (export, streamline, convert, fold, specialise, verify)
ON_THE_DESIGN = (design, simulate, synthesise, package, bitfile, route, report)
ORDER: tuple[Step, ...] = tuple(step.STEP for step in (*ON_GRAPHS, *ON_THE_DESIGN))
