# SPDX-License-Identifier: Apache-2.0
"""What the errors of all tools have in common."""

from __future__ import annotations

from pathlib import Path


class ToolFailure(RuntimeError):  # noqa: N818 - the errors are its subclasses
    """A tool failed; `log` holds what it printed, if it came so far."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message, log)  # both: an error of a worker process is made again from its arguments
        self.log = log

    def __str__(self) -> str:
        return str(self.args[0])
