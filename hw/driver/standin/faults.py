# SPDX-License-Identifier: Apache-2.0
"""Faults that the stand-in can be told to have, so that the driver's answers to them can be seen."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import DeviceError


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        stuck: name of a DMA that never finishes, "idma0" or "odma0"; on Alveo "idma_0" or "odma_0".
        wrong_build_id: the design says that it is of another build.
        short_buffer: allocate() gives room for one image less.
        wrong_dtype: allocate() gives 16-bit elements.
        flipped_bit: the first byte of every result is wrong in one bit.
    """

    stuck: str | None = None
    wrong_build_id: bool = False
    short_buffer: bool = False
    wrong_dtype: bool = False
    flipped_bit: bool = False

    @staticmethod
    def of(text: str) -> Faults:
        """Faults of a text as in IR2NET_FAULT, e.g. "stuck=odma0" or "wrong_build_id"."""
        values = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            if name not in Faults.__dataclass_fields__ or (name == "stuck") != bool(value):
                known = ", ".join(field if field != "stuck" else "stuck=DMA" for field in Faults.__dataclass_fields__)
                raise DeviceError(f"IR2NET_FAULT: {part!r} is no fault; there are {known}")
            values[name] = value or True
        return Faults(**values)  # type: ignore[arg-type]
