# SPDX-License-Identifier: Apache-2.0
"""What a netlist of Xilinx cells takes of a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self

# Look-up tables that a memory cell occupies: user guides UG474 (7 series) and UG574 (UltraScale).
_LUTRAM: Mapping[str, int] = {
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM32X1S_1": 1,
    "RAM32X1D": 2,
    "RAM32X2S": 2,
    "RAM32M": 4,
    "RAM32M16": 8,
    "RAM64X1S": 1,
    "RAM64X1D": 2,
    "RAM64X1S_1": 1,
    "RAM64M": 4,
    "RAM64M8": 8,
    "RAM32X16DR8": 8,
    "RAM64X8SW": 8,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
}
_BRAM36: Mapping[str, float] = {"RAMB18E1": 0.5, "RAMB36E1": 1.0, "RAMB18E2": 0.5, "RAMB36E2": 1.0}
_DSP = frozenset({"DSP48E1", "DSP48E2"})
_URAM = frozenset({"URAM288", "URAM288_BASE"})
_FF = frozenset({"FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1", "LDCE", "LDPE"})
_LUT = frozenset({"LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "LUT6_2", "CFGLUT5", "INV"})
# What a slice has beside its look-up tables and flip-flops.
_FREE = frozenset(
    {
        "CARRY4",
        "CARRY8",
        "MUXF5",
        "MUXF6",
        "MUXF7",
        "MUXF8",
        "MUXF9",
        "MUXCY",
        "XORCY",
        "GND",
        "VCC",
        "BUFG",
    }
)


class UnknownCell(ValueError):  # noqa: N818 - reads as the sentence it is
    """A netlist holds a cell that is in no table, so counting would be guessing."""


@dataclass(frozen=True)
class Resources:
    """Cells taken of a device. ``lut`` counts all look-up tables, ``lutram`` those that are memories."""

    lut: int = 0
    ff: int = 0
    bram36: float = 0.0
    dsp: int = 0
    uram: int = 0
    lutram: int = 0

    def __add__(self, other: Self) -> Resources:
        mine, theirs = asdict(self), asdict(other)
        return Resources(**{name: mine[name] + theirs[name] for name in mine})

    @classmethod
    def total(cls, parts: Iterable[Resources]) -> Resources:
        """The sum of ``parts``."""
        result = cls()
        for part in parts:
            result += part
        return result

    @classmethod
    def of_cells(cls, cells: Mapping[str, int]) -> Resources:
        """Count the cells of a netlist, given by type.

        A LUT of any width counts as one, and so does an inverter: small ones that could share a LUT are not
        paired. RAM and shift register cells count as the LUTs they occupy, a block RAM of 18 Kb as half of
        one of 36 Kb; carry chains and wide multiplexers come with the LUTs.

        Raises:
            UnknownCell: a cell type of which nothing is known, for instance a black box.
        """
        unknown = sorted(set(cells) - _LUT - _FF - _DSP - _URAM - _FREE - set(_LUTRAM) - set(_BRAM36))
        if unknown:
            raise UnknownCell(f"cells of unknown size in the netlist: {', '.join(unknown)}")

        def number(types: Iterable[str]) -> int:
            return sum(cells.get(cell, 0) for cell in types)

        lutram = sum(cells.get(cell, 0) * luts for cell, luts in _LUTRAM.items())
        return cls(
            lut=number(_LUT) + lutram,
            ff=number(_FF),
            bram36=sum(cells.get(cell, 0) * size for cell, size in _BRAM36.items()),
            dsp=number(_DSP),
            uram=number(_URAM),
            lutram=lutram,
        )

    def exceeding(self, available: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Resource names of which more is taken than ``available`` has, with (taken, available)."""
        taken = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: (taken[name], limit) for name, limit in available.items() if taken[name] > limit}
