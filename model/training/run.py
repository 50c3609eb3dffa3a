# SPDX-License-Identifier: Apache-2.0
"""A run from its first step, or from where it was stopped, to its checkpoint and card."""

import datetime
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from model.checkpoint import Card, save_checkpoint
from model.data import DataSet
from model.errors import ModelError, TrainingError
from model.networks import NETWORKS, Network
from model.networks.adjust import settle_weights
from model.networks.ties import separate_ties
from model.training.distributed import World
from model.training.epochs import EpochTrainer
from model.training.evaluation import accuracy
from model.training.job import Job
from model.training.metrics import Metrics, Row, open_metrics
from model.training.progress import ProgressLine, stop_flag
from model.training.state import RunFiles
from model.training.trainer import Trainer

SAVE_SECONDS = 60.0

Options = tuple[tuple[str, str], ...]
"""Options of the command line and their values, which a card repeats."""


@dataclass(frozen=True)
class Run:
    """What is done with a network and a job, and where its files are.

    Accuracy is shown and written on the way for `watched`, and stands in the card for `test`.
    """

    network: Network
    job: Job
    files: RunFiles
    test: DataSet
    watched: DataSet
    options: Options = ()
    resume: bool = False
    compiled: bool = False
    graphs: bool = False
    board: bool = False

    def carry_out(self, world: World) -> None:
        """Train to the end and write checkpoint and card; raises ModelError, and TrainingError on Ctrl-C."""
        trainer = self._trainer(world)
        console = Console(highlight=False, quiet=not world.is_first)
        if not world.has_bfloat16 and any(phase.precision == "bfloat16" for phase in self.job.recipe.phases):
            console.print("the recipe asks for bfloat16, which this device has not: it trains in float32")
        with self._metrics(trainer) as metrics:
            run_training(trainer, self.files.state, self.watched, metrics, console)
        card = finish(trainer, self.files.output, self.test, self.options)
        if world.is_first:
            self.files.state.unlink(missing_ok=True)
        result = f"top-1 {card.top1:.2%} of {card.test_images} test images ({card.dataset})"
        console.print(f"{self.files.output}: {result}", soft_wrap=True)

    def _trainer(self, world: World) -> Trainer:
        """Return the trainer of the run, at its first step or where it was stopped."""
        kind = EpochTrainer if self.graphs else Trainer
        trainer = kind(self.network, self.job, world, compiled=self.compiled)
        if self.resume:
            trainer.restore(self.files.state)
        world.wait()  # every process has looked for a state before there is a new one
        if not self.resume:
            trainer.save(self.files.state)  # an output folder that cannot be written shows now, not after hours
        return trainer

    def _metrics(self, trainer: Trainer) -> AbstractContextManager[Metrics]:
        if not trainer.world.is_first:
            return nullcontext(Metrics())
        after = trainer.step if self.resume else None
        return open_metrics(self.files.metrics, after, self.files.board if self.board else None)


def run_training(trainer: Trainer, state: Path, watched: DataSet, metrics: Metrics, console: Console) -> None:
    """Train to the end of the schedule, saving the state now and then; raises TrainingError on Ctrl-C."""
    world, saved = trainer.world, time.monotonic()
    line = ProgressLine(trainer, console)
    with stop_flag() as stop, line.progress:
        while not trainer.finished:
            try:
                result = trainer.advance()
            except ModelError as error:
                trainer.save(state)
                raise TrainingError(f"{error}; the state of step {trainer.good.step} is kept in {state}") from error
            line.show(trainer, result)
            top1 = None
            if trainer.ends_epoch:
                top1 = accuracy(trainer.network, watched, world=world).top1
                line.keep(top1)
            metrics.add(Row(trainer.step, trainer.epoch, **vars(result), top1=top1))
            (stopping,) = world.sums((float(stop.is_set()),))
            if stopping or time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(state)
                saved = time.monotonic()
            if stopping:
                raise TrainingError(f"stopped; the state of step {trainer.good.step} is saved, go on with --resume")


def finish(trainer: Trainer, output: Path, test: DataSet, options: Options = ()) -> Card:
    """Settle weights, separate ties, measure the accuracy, and write checkpoint and card; raises TrainingError."""
    network, job = trainer.network, trainer.job
    if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
        raise TrainingError(f"the weights are no numbers after step {trainer.step - 1}; no checkpoint was written")
    settle_weights(network)
    network.to("cpu")
    separate_ties(network)
    network.to(trainer.world.device)
    result = accuracy(network, test, world=trainer.world)
    card = Card(
        network=job.recipe.network,
        dataset=job.data.dataset,
        images=len(job.data),
        left_out=None if job.data.left_out is None else str(job.data.left_out),
        epochs=round(trainer.epoch + (0.0 if job.start is None else job.start.epochs), 3),
        seed=job.seed,
        top1=result.top1,
        test_images=result.images,
        command=_command(network, job, options),
        sha256="",
        date=datetime.date.today().isoformat(),
    )
    return save_checkpoint(output, network, card) if trainer.world.is_first else card


def _command(network: Network, job: Job, options: Options) -> str:
    name = network.spec.name
    parts = ["python -m model.train --network", name if name in NETWORKS else f"{name}.yaml"]
    if network.precision != "hardware":
        parts += ["--precision", network.precision]
    if network.recovery != network.spec.recovery:
        parts += ["--recovery", network.recovery]
    if job.data.left_out is not None:
        parts += ["--leave-out", str(job.data.left_out)]
    parts += ["--epochs", f"{job.recipe.epochs:g}", "--seed", f"{job.seed}"]
    for option in options:
        parts += option
    return " ".join(parts)
