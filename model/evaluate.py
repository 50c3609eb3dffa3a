# SPDX-License-Identifier: Apache-2.0
"""Measures the top-1 accuracy of a checkpoint: python -m model.evaluate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from model.checkpoint import load_checkpoint, shipped_checkpoint, write_card
from model.cli import run
from model.data import TestSet, load_data
from model.distributed import World
from model.errors import DataError
from model.networks import Backend, Network, to_brevitas

BATCH = 500


@dataclass(frozen=True)
class Accuracy:
    """Right answers among a number of images."""

    correct: int
    images: int

    @property
    def top1(self) -> float:
        """Share of right answers, 0 .. 1."""
        return self.correct / self.images


def accuracy(network: Network, data: TestSet, batch: int = BATCH, world: World | None = None) -> Accuracy:
    """Count the right answers of a network in evaluation mode; raises DataError for images without labels.

    Several processes share the images, and all get the sum.
    """
    if data.labels is None:
        raise DataError(f"{data.dataset} has no labels to compare with")
    world = world or World()
    was_training = network.training
    network.eval()
    correct = 0
    mine = range(world.rank, len(data), world.size)
    device = next(network.parameters()).device
    with torch.no_grad():
        for start in range(0, len(mine), batch):
            picks = mine[start : start + batch]
            answers = network(data.views(picks, network.spec.size).to(device)).argmax(1).cpu()
            correct += int((answers == torch.from_numpy(data.labels[picks])).sum())
    network.train(was_training)
    return Accuracy(int(world.sums((correct,))[0]), len(data))


def main(
    *,
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint (.safetensors); default: the shipped one")] = None,
    network: Annotated[str | None, typer.Option(help="network the checkpoint has to be of")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="folder of parquet files; default: IR2NET_DATA")] = None,
    download: Annotated[bool, typer.Option("--download", help="fetch CIFAR-10 from the Hugging Face hub")] = False,
    backend: Annotated[Backend, typer.Option(help="layers to compute with")] = "light",
    update_card: Annotated[bool, typer.Option("--update-card", help="write the result into the card")] = False,
) -> None:
    """Print the top-1 accuracy over all test images."""
    path = shipped_checkpoint(network or "tiny") if checkpoint is None else checkpoint
    model, card = load_checkpoint(path, network)
    data = load_data(card.network, "test", data_dir, download=download)
    result = accuracy(model if backend == "light" else to_brevitas(model), data)
    if update_card:
        write_card(path, card.model_copy(update={"top1": result.top1, "test_images": result.images}))
    score = f"top-1 {result.top1:.2%} ({result.correct} of {result.images} test images)"
    Console(soft_wrap=True).print(f"{card.network} on {data.dataset}: {score}")


if __name__ == "__main__":
    run(main)
