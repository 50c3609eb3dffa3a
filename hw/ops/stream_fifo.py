# SPDX-License-Identifier: Apache-2.0
"""A queue between two operators: what hw/design/fifos.py inserts, in place of FINN's."""

from __future__ import annotations

import math
from typing import Any

from finn.custom_op.fpgadataflow.streamingfifo import StreamingFIFO
from typing_extensions import override

from hw.ops.cell_op import Cell, CellOp, Cost, pass_on
from hw.ops.cost import ram

SHALLOWEST = {"registers": 1, "srl": 3, "block": 4}
"""Beats that a queue of each form holds at least."""


class StreamFIFO_rtl(CellOp, StreamingFIFO):  # noqa: N801  FINN's naming
    """A queue of `depth` beats. How deep it is, only simulation knows; folding allows for all of them together."""

    label, role = "fifo", "store"
    kernel = staticmethod(pass_on)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        return {**super().get_nodeattr_types(), "ram_style": ("s", True, "", set(SHALLOWEST))}

    @override
    def check(self) -> None:
        least = SHALLOWEST[self.text("ram_style")]
        if self.number("depth") < least:
            raise self.refuse(
                f"depth = {self.number('depth')}; a queue in {self.text('ram_style')} has {least} or more"
            )

    @override
    def cell(self) -> Cell:
        style = f'"{self.text("ram_style")}"'
        return Cell("stream_fifo", {"Width": self._bits(), "Depth": self.number("depth"), "RamStyle": style})

    @override
    def cost(self, part: str) -> Cost:
        return queue(self._bits(), self.number("depth"), self.text("ram_style"))

    def _bits(self) -> int:
        return int(self.get_instream_width())


def queue(width: int, depth: int, ram_style: str) -> Cost:
    """Of a queue: shift registers of 32 beats, of which four reach a tap without a LUT; pointers and handshake."""
    bits = max(depth - 1, 1).bit_length()
    if ram_style == "registers":
        return Cost(lut=depth + 1)
    if ram_style == "srl":
        taps = math.ceil((depth - 1) / 128)
        return Cost(lut=width * (math.ceil((depth - 1) / 32) + (taps > 1)) + bits + 10)
    return Cost(lut=bits + 8) + ram(width, depth - 1, block=True)
