# SPDX-License-Identifier: Apache-2.0
"""Verilator behind FINN's simulation interface, the stitcher and FIFO sizing."""
