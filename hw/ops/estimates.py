# SPDX-License-Identifier: Apache-2.0
"""Sizes of memories of the 7 series. The operators' LUT estimates are fitted to Yosys 0.70, synth_xilinx."""

from __future__ import annotations

BRAM18_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
"""Words and bits of half a block RAM."""


def bram18(width: int, depth: int) -> int:
    """Half block RAMs of a memory of ``depth`` words of ``width`` bits."""
    return min(-(-width // bits) * -(-depth // words) for words, bits in BRAM18_SHAPES)


def lut_ram(width: int, depth: int) -> int:
    """LUTs of a RAM with a write and a read port: 4 hold 6 bits of 32 words (RAM32M) or 3 of 64 (RAM64M)."""
    if depth <= 1:
        return 0
    if depth <= 32:
        return 4 * -(-width // 6)
    return 4 * -(-width // 3) * -(-depth // 64)
