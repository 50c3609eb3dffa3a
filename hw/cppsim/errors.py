# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a graph, a folder or images."""

from __future__ import annotations

from hw.errors import ToolFailure


class CppsimError(ToolFailure):
    """A program cannot be generated, compiled or loaded; the message says why and what to do."""


class UnsupportedOperatorError(CppsimError):
    """A node that no kernel computes; the message starts with the node's name."""

    def __init__(self, node: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{node}: {problem}; {hint}" if hint else f"{node}: {problem}")
        self.node = node


class ImageError(ValueError):
    """Images whose shape, type or values do not fit the accelerator's input."""
