# SPDX-License-Identifier: Apache-2.0
"""What a training run is made of, and what tells it from other runs."""

from dataclasses import dataclass

from model.checkpoint import Card
from model.data import DataSet
from model.networks import Network
from model.training.recipe import Recipe
from model.training.targets import LABELS, Targets


@dataclass(frozen=True)
class Job:
    """What a run is made of, besides the network: equal jobs of equal networks have equal results.

    `start` is the card of the checkpoint that the weights came from, None for fresh weights.
    """

    recipe: Recipe
    data: DataSet
    seed: int
    targets: Targets = LABELS
    start: Card | None = None

    def __post_init__(self) -> None:
        self.targets.check(self.recipe)

    def identity(self, network: Network) -> str:
        """Return what tells this run from others: a run is resumed only by the same one."""
        start = "" if self.start is None else self.start.sha256
        parts = [f"{self.recipe.digest()} {self.seed} {self.data.dataset} {len(self.data)} {start}"]
        if network.precision != "hardware":
            parts.append(network.precision)
        if network.recovery != network.spec.recovery:
            parts.append(f"recovery {network.recovery}")
        parts += self.targets.identity()
        return ", ".join(parts)
