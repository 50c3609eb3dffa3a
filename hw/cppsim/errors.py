# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a folder or images."""

from __future__ import annotations

from hw.errors import ToolFailure


class CppsimError(ToolFailure):
    """A program cannot be compiled or loaded; the message says why and what to do."""


class ImageError(ValueError):
    """Images whose shape, type or values do not fit the accelerator's input."""
