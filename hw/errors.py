# SPDX-License-Identifier: Apache-2.0
"""What the errors of all tools have in common."""

from __future__ import annotations

import signal
from pathlib import Path


class ToolFailure(RuntimeError):  # noqa: N818 - the errors are its subclasses
    """A tool failed; `log` holds what it printed, if it came so far."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message, log)  # both: an error of a worker process is made again from its arguments
        self.log = log

    def __str__(self) -> str:
        return str(self.args[0])


class UnsupportedNodeError(ToolFailure):
    """A node asks for something that its hardware or its kernel cannot do; the message starts with its name."""

    def __init__(self, node: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{node}: {problem}; {hint}" if hint else f"{node}: {problem}")
        self.node = node


def ending(status: int) -> str:
    """How a tool ended that has not said why, for a message."""
    if status == -signal.SIGKILL:
        return "it was killed, as the system does where memory runs out; --workers 1 takes less"
    return f"exit status {status}"


class MappingError(ValueError):
    """A layer of the network has no exact integer form; the message names it, the reason and what to do."""

    def __init__(self, layer: str, reason: str, advice: str) -> None:
        super().__init__(f"{layer} cannot be mapped exactly: {reason}; {advice}")
        self.layer = layer
