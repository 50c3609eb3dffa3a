# SPDX-License-Identifier: Apache-2.0
"""What a netlist of Xilinx cells takes of a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass


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

    def __mul__(self, count: int) -> Resources:
        return Resources(*(count * each for each in astuple(self)))

    @classmethod
    def total(cls, parts: Iterable[Resources]) -> Resources:
        """The sum of ``parts``."""
        return cls(*map(sum, zip(*map(astuple, parts), strict=True)))

    @classmethod
    def of_cells(cls, cells: Mapping[str, int]) -> Resources:
        """Count the cells of a netlist, given by type.

        A LUT of any width counts as one, and so does an inverter: small ones that could share a LUT are not
        paired. RAM and shift register cells count as the LUTs they occupy, a block RAM of 18 Kb as half of
        one of 36 Kb; carry chains and wide multiplexers come with the LUTs.

        Raises:
            UnknownCell: a cell type of which nothing is known, for instance a black box.
        """
        unknown = sorted(cells.keys() - _CELLS.keys())
        if unknown:
            raise UnknownCell(f"cells of unknown size in the netlist: {', '.join(unknown)}")
        return cls.total(_CELLS[cell] * count for cell, count in cells.items())

    def exceeding(self, available: Mapping[str, float]) -> dict[str, tuple[float, float]]:
        """Resource names of which more is taken than ``available`` has, with (taken, available)."""
        taken = asdict(self)
        return {name: (taken[name], limit) for name, limit in available.items() if taken[name] > limit}


_TAKEN: Mapping[Resources, str] = {
    # what a slice has beside its look-up tables and flip-flops
    Resources(): "CARRY4 CARRY8 MUXF5 MUXF6 MUXF7 MUXF8 MUXF9 MUXCY XORCY GND VCC BUFG PFUMX L6MUX21",
    Resources(lut=1): "LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 CFGLUT5 INV",
    # look-up tables that a memory cell occupies: user guides UG474 (7 series) and UG574 (UltraScale)
    Resources(lut=1, lutram=1): "SRL16E SRLC16E SRLC32E RAM32X1S RAM32X1S_1 RAM64X1S RAM64X1S_1",
    Resources(lut=2, lutram=2): "RAM32X1D RAM32X2S RAM64X1D RAM128X1S",
    Resources(lut=4, lutram=4): "RAM32M RAM64M RAM128X1D RAM256X1S TRELLIS_DPR16X4",
    Resources(lut=8, lutram=8): "RAM32M16 RAM64M8 RAM32X16DR8 RAM64X8SW RAM256X1D RAM512X1S",
    Resources(ff=1): "FDRE FDSE FDCE FDPE FDRE_1 FDSE_1 FDCE_1 FDPE_1 LDCE LDPE TRELLIS_FF",
    Resources(bram36=0.5): "RAMB18E1 RAMB18E2 DP16KD",
    Resources(bram36=1.0): "RAMB36E1 RAMB36E2",
    Resources(dsp=1): "DSP48E1 DSP48E2 MULT18X18D",
    Resources(uram=1): "URAM288 URAM288_BASE",
    # ECP5's: its carry chain is made of LUTs, and its block RAMs have 18 Kb
    Resources(lut=2): "CCU2C",
}
_CELLS = {cell: taken for taken, cells in _TAKEN.items() for cell in cells.split()}
