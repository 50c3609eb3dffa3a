# SPDX-License-Identifier: Apache-2.0
"""Clocks that FINN's shells can make.

FINN writes a clock as whole MHz. Its Zynq shell makes it of the processing system's 100 MHz with a PLL, whose divider,
multiplier and output divider are whole numbers, and gives it to the memory ports of the processing system too; Vitis
makes it on an Alveo card.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

_REFERENCE_MHZ = 100  # FINN's templates.py: FCLK_CLK0 and pl_clk0
_OUTPUT_DIVIDERS = 128


@dataclass(frozen=True)
class _Pll:
    """A PLL of a family: limits of its oscillator in MHz, how far it multiplies and divides, and the clock at most."""

    slowest: int
    fastest: int
    multipliers: int
    dividers: int
    at_most: int


_PLLS = {
    # PLLE2 of speed grade 1 (AMD data sheet DS187: oscillator 800 to 1,600 MHz, its input divided to 19 MHz at least;
    # F_AXI_MAX of the processing system's ports 250 MHz)
    "xc7": _Pll(800, 1600, multipliers=64, dividers=5, at_most=250),
    # PLLE4 (DS925: oscillator 750 to 1,500 MHz, input divided to 70 MHz at least; F_AXICLK 333 MHz)
    "xcup": _Pll(750, 1500, multipliers=21, dividers=1, at_most=333),
}
_VITIS = range(50, 301)
"""The clock of a kernel on Alveo's platforms: 300 MHz at most (UG1702, "Clock Information": scalable clock 0)."""


@cache
def clocks(family: Literal["xc7", "xcup"], shell: Literal["zynq-iodma", "alveo"]) -> tuple[int, ...]:
    """Every clock that a shell can make exactly, in MHz, ascending."""
    if shell == "alveo":
        return tuple(_VITIS)
    pll = _PLLS[family]
    found = set()
    for divider, multiplier in product(range(1, pll.dividers + 1), range(1, pll.multipliers + 1)):
        oscillator = _REFERENCE_MHZ * multiplier
        if pll.slowest * divider <= oscillator <= pll.fastest * divider:
            found |= {
                oscillator // (divider * last)
                for last in range(1, _OUTPUT_DIVIDERS + 1)
                if oscillator % (divider * last) == 0
            }
    return tuple(sorted(clock for clock in found if clock <= pll.at_most))


def finn_period_ns(clock_mhz: float) -> float:
    """The period that FINN takes for a clock: it cuts off 1 / period, and of 150 MHz would make 149."""
    return 1000.0 / (clock_mhz + 1e-6)
