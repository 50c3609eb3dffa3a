# SPDX-License-Identifier: Apache-2.0
"""x."""
from flows.pipeline import Step
STEP = Step("report", lambda c: {}, needs=("stitch",))
