# SPDX-License-Identifier: Apache-2.0
"""What the command lines of this package share."""

import getpass
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from model.errors import ModelError

DataDir = Annotated[Path | None, typer.Option(help="folder of the data set, or .npz; default: IR2NET_DATA")]
NetworkSource = Annotated[str, typer.Option(help="a name, or a file NAME.yaml")]
SkipDamaged = Annotated[bool, typer.Option("--skip-damaged", help="leave pictures out that cannot be read")]
Download = Annotated[bool, typer.Option("--download", help="fetch CIFAR-10 from the Hugging Face hub")]
Epochs = Annotated[float | None, typer.Option(help="stretch the recipe to this many epochs")]
RecipeSource = Annotated[str | None, typer.Option(help="recipe: a YAML file, or the name of a shipped one")]
Threads = Annotated[int | None, typer.Option(min=1, help="processor threads")]


def name_the_user() -> None:
    """Give the user of a container a name, where there is none: torch's caches are called by it."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())


def application(command: Callable[..., None]) -> typer.Typer:
    """Make a command line of a function; Ctrl-C becomes a ModelError."""

    @wraps(command)
    def interruptible(*args: Any, **options: Any) -> None:
        # Typer itself would end a command that is interrupted without a word.
        try:
            command(*args, **options)
        except KeyboardInterrupt as error:
            raise ModelError("interrupted") from error

    name_the_user()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(interruptible)
    return app


def run(command: Callable[..., None]) -> None:
    """Run a command line; a ModelError or Ctrl-C becomes one line on standard error and exit code 1."""
    try:
        application(command)()
    except ModelError as error:
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"error: {error}")
        raise SystemExit(1) from error
