# SPDX-License-Identifier: Apache-2.0
"""x."""
from flows.pipeline import Step
STEP = Step("synthesise", lambda c: {}, needs=("stitch",))
