# SPDX-License-Identifier: Apache-2.0
"""The integer graph as one compiled, bit-exact C++ program. What runs it needs numpy and g++, not FINN."""

from hw.cppsim.accelerator import Accelerator

__all__ = ["Accelerator"]
