# SPDX-License-Identifier: Apache-2.0
"""A queue between two operators."""

from __future__ import annotations

from typing_extensions import override

from hw.ops.operator import Cost, FinnOperator, pass_on


class StreamingFIFO(FinnOperator):
    """How deep it is, only simulation knows; folding allows for all of them together."""

    label, role = "fifo", "store"
    kernel = staticmethod(pass_on)

    @override
    def cost(self, part: str) -> Cost:
        return Cost()
