# SPDX-License-Identifier: Apache-2.0
"""The top-1 accuracy of a network."""

from dataclasses import dataclass

import torch

from model.data import DataSet
from model.errors import DataError
from model.networks import Network
from model.training.distributed import World

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


def accuracy(network: Network, data: DataSet, batch: int = BATCH, world: World | None = None) -> Accuracy:
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
