# SPDX-License-Identifier: Apache-2.0
"""What a build can fail with: the user's mistake (exit 1) or a tool's failure (exit 2, with its log)."""

from pathlib import Path


class FlowError(Exception):
    """A failure that is reported in one line, without a traceback."""

    exit_code = 1


class UserError(FlowError):
    """What the user asked for cannot be done; `hint` says what to do instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)


class ToolError(FlowError):
    """A tool or a check of the flow failed; `log` holds its output."""

    exit_code = 2

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(f"{message} (log: {log})" if log else message)
        self.log = log


class Interrupted(FlowError):  # noqa: N818 - nothing went wrong
    """Ctrl-C: finished steps are kept, the one that ran is not."""
