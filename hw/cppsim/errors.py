# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a graph, a folder or images."""

from __future__ import annotations

from hw.errors import ToolFailure


class CppsimError(RuntimeError):
    """A program cannot be generated, compiled or loaded; the message says why and what to do."""


class CompileError(CppsimError, ToolFailure):
    """The compiler is missing or refuses a program; `log` holds what it printed."""

    def __str__(self) -> str:
        return f"{self.args[0]} (log: {self.log})" if self.log else str(self.args[0])


class UnsupportedOperatorError(CppsimError):
    """A node that no kernel computes; the message starts with the node's name."""

    def __init__(self, node: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{node}: {problem}; {hint}" if hint else f"{node}: {problem}")
        self.node = node


class ImageError(ValueError):
    """Images whose shape, type or values do not fit the accelerator's input."""
