# SPDX-License-Identifier: Apache-2.0
"""FINN operators of this project, one a file: each is a cell of hw/rtl behind a generated wrapper."""

from hw.ops.errors import UnsupportedNodeError
from hw.ops.generation import generate
from hw.ops.registry import register

__all__ = ["UnsupportedNodeError", "generate", "register"]
