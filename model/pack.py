# SPDX-License-Identifier: Apache-2.0
"""Weights to be shipped, a bit for each binary one: python -m model.pack."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from model.checkpoint import load_checkpoint, save_checkpoint
from model.cli import run


def main(
    source: Annotated[Path, typer.Argument(help="checkpoint of hardware precision (.safetensors)")],
    target: Annotated[Path, typer.Argument(help="the same for the hardware; training goes on from it by its signs")],
) -> None:
    """Write a checkpoint with signs in place of the binary weights: the same integers, a fraction of the size."""
    network, card = load_checkpoint(source, precision="hardware")
    save_checkpoint(target, network, card, packed=True)
    sizes = (f"{path.stat().st_size:,}" for path in (source, target))
    Console(soft_wrap=True).print(" -> ".join(sizes), "bytes")


if __name__ == "__main__":
    run(main)
