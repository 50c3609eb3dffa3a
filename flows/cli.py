# SPDX-License-Identifier: Apache-2.0
"""`ir2net`: every command of the project, as `pip install` puts it on the path."""

from __future__ import annotations

import shutil
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from flows.build import main as run
from flows.build import show_boards

_ELSEWHERE = {
    "build": ("flows.build", "app", "Build an accelerator and prove it, step by step; --dry-run only estimates it."),
    "sweep": ("flows.sweep", "app", "Run many builds, many at once; ends in a table and a picture of all."),
    "train": ("model.train", "main", "Train a network and write its checkpoint and card."),
    "evaluate": ("model.evaluate", "main", "Print the top-1 accuracy of a checkpoint over all test images."),
    "pack": ("model.pack", "main", "Write a checkpoint with a bit for each binary weight, as one is shipped."),
    "demo": ("flows.demo", "app", "Build, deploy the package into a fresh environment, and classify with its driver."),
}
"""Module and name of the command line, or of a function that model.cli makes one of, and what is said of it."""


class _Commands(TyperGroup):
    """Imports a command's module when the command is called or completed: torch takes seconds."""

    @override
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name in _ELSEWHERE:
            module, attribute, _ = _ELSEWHERE[name]
            found = getattr(import_module(module), attribute)
            if not isinstance(found, typer.Typer):
                from model.cli import application

                found = application(found)
            command = typer.main.get_command(found)
        return name, command, rest


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"ir2net {version('ir2net-fpga')}")
        raise typer.Exit


@app.callback()
def ir2net(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """From a trained binary neural network to an all-RTL accelerator, proven integer for integer."""


for _name, (_, _, _help) in _ELSEWHERE.items():
    app.command(_name, help=_help)(lambda: None)


@app.command()
def boards(
    builds: Annotated[Path, typer.Option(help="Folder of the builds that say what fits.")] = Path("build"),
) -> None:
    """Print the boards, and what fits them as far as it was built."""
    show_boards(builds)


@app.command()
def networks() -> None:
    """Print the networks, and the accuracy of the weights that come along."""
    from model.checkpoint import card_path, load_card, shipped_checkpoint
    from model.networks.registry import NETWORKS

    for name, spec in NETWORKS.items():
        path = shipped_checkpoint(name)
        card = load_card(path) if card_path(path).exists() else None
        weights = "no weights; train it" if card is None else f"top-1 {card.top1:.2%} of {card.test_images} test images"
        shape = " x ".join(map(str, spec.input_shape))
        typer.echo(f"{name:<15}  {spec.dataset:<9}  {shape:<13}  {spec.classes:>4} classes  {weights}")


@app.command()
def cache(
    empty: Annotated[bool, typer.Option("--empty", help="Remove all of it; no build may be running.")] = False,
) -> None:
    """Show what builds share: compiled simulations and results of synthesis."""
    from hw.cache import root, rows

    if empty:
        shutil.rmtree(root(), ignore_errors=True)
    typer.echo("\n".join(rows(root())))


def main() -> None:
    """Entry point of the installed command."""
    run(app)


if __name__ == "__main__":
    main()
