# SPDX-License-Identifier: Apache-2.0
"""FINN operators of this project, one per file: each is a cell of hw/rtl in a generated wrapper."""

from hw.ops.errors import UnsupportedNodeError
from hw.ops.generation import generate

__all__ = ["UnsupportedNodeError", "generate"]
