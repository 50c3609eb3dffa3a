# SPDX-License-Identifier: Apache-2.0
"""The design: its RTL with ROMs, streams, edges and FIFO depths, as files and as an object."""
