# SPDX-License-Identifier: Apache-2.0
"""What hardware costs on a 7-series device, before anything is synthesised.

Each operator tells its own cost; here are its units and the memories that operators share. All figures are fitted to
what Yosys 0.70, synth_xilinx, made of resnet20's and tiny's nodes. They serve to choose between foldings; synthesis has
the last word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

BRAM18_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and bits of half a block RAM."""
LUT_RAM_DEPTH = 64
RESOURCES = ("LUT", "BRAM36", "DSP")
Shares = tuple[float, ...]
"""Of each of the RESOURCES."""


@dataclass(frozen=True)
class Cost:
    """Resources: LUTs, block RAMs of 36 kbit, DSP blocks."""

    lut: float = 0.0
    bram36: float = 0.0
    dsp: float = 0.0

    def __iter__(self) -> Iterator[float]:
        return iter((self.lut, self.bram36, self.dsp))

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.lut + other.lut, self.bram36 + other.bram36, self.dsp + other.dsp)

    def shares(self, budget: Budget) -> Shares:
        """What is used of each resource, 1 for all of it."""
        return tuple(need / max(have, 1) for need, have in zip(self, budget, strict=True))

    def excess(self, budget: Budget) -> list[str]:
        """One text for every resource of which there is too little, "60000 LUT of 42560"."""
        rows = zip(RESOURCES, self, budget, strict=True)
        return [f"{math.ceil(need)} {name} of {have}" for name, need, have in rows if need > have]


class Budget(Cost):
    """What a design may use."""


def rom(width: int, depth: int, *, block: bool) -> Cost:
    """A memory of ``depth`` words that is only read, in LUTs or in block RAM.

    Of few words many bits are alike, of four or fewer all but a dozen.
    """
    if not block:
        of_bit = 0 if depth <= 4 else min(depth / 13, math.ceil(depth / LUT_RAM_DEPTH))
        return Cost(lut=width * of_bit)
    halves = min(math.ceil(width / bits) * math.ceil(depth / words) for words, bits in BRAM18_SHAPES)
    return Cost(bram36=halves / 2)


def ram(width: int, depth: int, *, block: bool) -> Cost:
    """A memory with one write and one read port; as LUT RAM it takes 4 LUTs for 3 bits."""
    if block:
        return rom(width, depth, block=True)
    return Cost(lut=width * math.ceil(depth / LUT_RAM_DEPTH) * 4 / 3)


def lut_ram(width: int, depth: int) -> int:
    """LUTs of a small RAM, to the LUT: 4 hold 6 bits of 32 words (RAM32M) or 3 of 64 (RAM64M)."""
    if depth <= 1:
        return 0
    if depth <= 32:
        return 4 * -(-width // 6)
    return 4 * -(-width // 3) * -(-depth // 64)


def single_port(width: int, depth: int) -> float:
    """LUTs of a small RAM that is read and written at one address: two bits of 32 words each, or one of 64."""
    return width / 2 if depth <= 32 else width * -(-depth // 64)
