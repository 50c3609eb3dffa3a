# SPDX-License-Identifier: Apache-2.0
"""What each of the paper's means is worth: python -m model.ablation, writes bench/ablation-NETWORK.json.

A network is trained on one schedule without means, with information restriction, with information recovery, and
with both, once for each seed. Every run is kept as soon as it ends, and is not repeated.
"""

from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated

import torch
import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import track
from rich.table import Table

from model.checkpoint import replace_file
from model.cli import DataDir, Epochs, RecipeSource, Threads, run
from model.data import DataSet, load_data
from model.errors import TrainingError
from model.networks import Recovery, create_network, network_spec
from model.training.evaluation import accuracy
from model.training.job import Job
from model.training.recipe import Recipe, load_recipe
from model.training.restriction import THRESHOLD
from model.training.trainer import Trainer

MEANS: dict[str, tuple[bool, bool]] = {
    "none": (False, False),
    "restriction": (True, False),
    "recovery": (False, True),
    "both": (True, True),
}
"""Restriction and recovery of each row."""


class Trial(BaseModel):
    """One training run: its means and seed, the top-1 on the test images, and the mean share of pixels erased."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    means: str
    seed: int
    top1: float
    erased: float | None


class Ablation(BaseModel):
    """All runs of a network on one schedule; `threshold` is the restriction's lambda."""

    model_config = ConfigDict(extra="forbid")

    network: str
    dataset: str
    images: int
    test_images: int
    epochs: float
    threshold: float
    recovery: Recovery
    recipe: str
    trials: list[Trial] = []

    def of(self, means: str) -> list[Trial]:
        """Return the runs of one row, one per seed."""
        return [trial for trial in self.trials if trial.means == means]

    def table(self) -> Table:
        """Return top-1 in percent: mean and standard deviation over the seeds."""
        table = Table(
            "means", "top-1 %", "deviation", "seeds", "erased %", title=f"{self.network}, {self.epochs:g} epochs"
        )
        for means in MEANS:
            if trials := self.of(means):
                scores = [100 * trial.top1 for trial in trials]
                spread = f"{stdev(scores):.2f}" if len(scores) > 1 else ""
                erased = [100 * trial.erased for trial in trials if trial.erased is not None]
                gone = f"{mean(erased):.1f}" if erased else ""
                table.add_row(means, f"{mean(scores):.2f}", spread, str(len(trials)), gone)
        return table


def restricted(recipe: Recipe, threshold: float, *, always: bool) -> Recipe:
    """Return the recipe with information restriction in every step, or in none."""
    change = {"restriction_interval": int(always), "restriction_threshold": threshold}
    return recipe.model_copy(update={"phases": tuple(phase.model_copy(update=change) for phase in recipe.phases)})


def train(means: str, recipe: Recipe, threshold: float, *, seed: int, data: DataSet, test: DataSet) -> Trial:
    """Train a network from nothing with these means."""
    restriction, recovery = MEANS[means]
    network = create_network(recipe.network, recovery=None if recovery else "none", seed=seed)
    trainer = Trainer(network, Job(restricted(recipe, threshold, always=restriction), data, seed))
    steps = track(range(trainer.schedule.steps), f"{means}, seed {seed}", transient=True)
    erased = [share for _ in steps if (share := trainer.advance().erased) is not None]
    top1 = accuracy(network, test).top1
    return Trial(means=means, seed=seed, top1=top1, erased=mean(erased) if erased else None)


def load(path: Path, wanted: Ablation) -> Ablation:
    """Return what a run before left in `path`, or `wanted` without trials; raises TrainingError for another setting."""
    if not path.exists():
        return wanted
    try:
        found = Ablation.model_validate_json(path.read_text())
    except (OSError, ValueError) as error:  # pydantic's is a ValueError
        raise TrainingError(f"{path} is no result of an ablation: move it away") from error
    if found.model_copy(update={"trials": []}) != wanted:
        raise TrainingError(f"{path} was measured with other settings: give another --output, or move it away")
    return found


def main(
    *,
    network: Annotated[str, typer.Option(help="network to train")] = "tiny",
    seeds: Annotated[int, typer.Option(min=1, help="runs of each row")] = 3,
    epochs: Epochs = None,
    recipe: RecipeSource = None,
    threshold: Annotated[float, typer.Option(min=0, help="the restriction's lambda")] = THRESHOLD,
    output: Annotated[Path | None, typer.Option(help="results; default: bench/ablation-NETWORK.json")] = None,
    data_dir: DataDir = None,
    threads: Threads = None,
) -> None:
    """Train with and without each of the paper's means."""
    plan = load_recipe(network, recipe)
    plan = plan if epochs is None else plan.scaled(epochs)
    path = output or Path("bench") / f"ablation-{network}.json"
    if threads is not None:
        torch.set_num_threads(threads)
    data, test = (load_data(network, split, data_dir) for split in ("train", "test"))
    setting = Ablation(
        network=network,
        dataset=data.dataset,
        images=len(data),
        test_images=len(test),
        epochs=plan.epochs,
        threshold=threshold,
        recovery=network_spec(network).recovery,
        recipe=plan.digest(),
    )
    results = load(path, setting)
    console = Console(highlight=False)
    for seed, means in product(range(seeds), MEANS):
        if any(trial.seed == seed for trial in results.of(means)):
            continue
        results.trials.append(train(means, plan, threshold, seed=seed, data=data, test=test))
        replace_file(path, (results.model_dump_json(indent=2) + "\n").encode())
    console.print(results.table())
    console.print(f"-> {path}", soft_wrap=True)


if __name__ == "__main__":
    run(main)
