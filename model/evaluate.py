# SPDX-License-Identifier: Apache-2.0
"""Measures the top-1 accuracy of a checkpoint: python -m model.evaluate."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from model.checkpoint import load_checkpoint, shipped_checkpoint, write_card
from model.cli import DataDir, Download, SkipDamaged, run
from model.data import load_data
from model.networks import to_brevitas
from model.training.evaluation import accuracy


def main(
    *,
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint (.safetensors); default: the shipped one")] = None,
    network: Annotated[str | None, typer.Option(help="network the checkpoint has to be of")] = None,
    data_dir: DataDir = None,
    download: Download = False,
    skip_damaged: SkipDamaged = False,
    backend: Annotated[Literal["light", "brevitas"], typer.Option(help="layers to compute with")] = "light",
    update_card: Annotated[bool, typer.Option("--update-card", help="write the result into the card")] = False,
) -> None:
    """Print the top-1 accuracy over all test images."""
    path = shipped_checkpoint(network or "tiny") if checkpoint is None else checkpoint
    model, card = load_checkpoint(path, network)
    data = load_data(model.spec, "test", data_dir, download=download, skip_damaged=skip_damaged)
    result = accuracy(model if backend == "light" else to_brevitas(model), data)
    if update_card:
        write_card(path, card.model_copy(update={"top1": result.top1, "test_images": result.images}))
    score = f"top-1 {result.top1:.2%} ({result.correct} of {result.images} test images)"
    Console(soft_wrap=True).print(f"{card.network} on {data.dataset}: {score}")


if __name__ == "__main__":
    run(main)
