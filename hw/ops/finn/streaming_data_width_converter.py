# SPDX-License-Identifier: Apache-2.0
"""FINN's width converter, for widths between which ours cannot convert."""

from __future__ import annotations

from typing_extensions import override

from hw.ops.operator import Cost, FinnOperator, pass_on


class StreamingDataWidthConverter(FinnOperator):
    """The same elements, more or fewer a beat."""

    label, role = "width", "store"
    kernel = staticmethod(pass_on)

    @override
    def cost(self, part: str) -> Cost:
        """Not estimated: folding makes the widths of neighbours multiples of each other."""
        return Cost()
