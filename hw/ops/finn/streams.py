# SPDX-License-Identifier: Apache-2.0
"""What stands between two operators and hands on what it takes."""

from __future__ import annotations

from typing_extensions import override

from hw.ops.operator import Cost, FinnOperator, pass_on


class StreamingFIFO(FinnOperator):
    """A queue; how deep, only simulation knows, so folding allows for all of them together."""

    label, role = "fifo", "store"
    kernel = staticmethod(pass_on)

    @override
    def cost(self, part: str) -> Cost:
        return Cost()


class StreamingDataWidthConverter(StreamingFIFO):
    """FINN's converter, for widths between which ours cannot convert; folding avoids them."""

    label = "width"
