# SPDX-License-Identifier: Apache-2.0
"""Sizes of memories in 7-series LUTs. The operators' LUT estimates are fitted to Yosys 0.70, synth_xilinx."""

from __future__ import annotations


def lut_ram(width: int, depth: int) -> int:
    """LUTs of a RAM with a write and a read port: 4 hold 6 bits of 32 words (RAM32M) or 3 of 64 (RAM64M)."""
    if depth <= 1:
        return 0
    if depth <= 32:
        return 4 * -(-width // 6)
    return 4 * -(-width // 3) * -(-depth // 64)
