# SPDX-License-Identifier: Apache-2.0
"""What the command lines of this package share."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer
from rich.console import Console

from model.errors import ModelError


def run(command: Callable[..., None]) -> None:
    """Run a command line; a ModelError or Ctrl-C becomes one line on standard error and exit code 1."""

    @wraps(command)
    def interruptible(*args: Any, **options: Any) -> None:
        # Typer itself would end a command that is interrupted without a word.
        try:
            command(*args, **options)
        except KeyboardInterrupt as error:
            raise ModelError("interrupted") from error

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(interruptible)
    try:
        app()
    except ModelError as error:
        message = str(error)
    except KeyboardInterrupt:
        message = "interrupted"
    else:
        return
    Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"error: {message}")
    raise SystemExit(1)
