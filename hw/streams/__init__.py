# SPDX-License-Identifier: Apache-2.0
"""AXI streams on a PC: integers to beats and back, and a compiled design that takes and gives them.

Packages take these files along for their stand-in: numpy and Python 3.8 are all they need.
"""
