# SPDX-License-Identifier: Apache-2.0
"""Trains a network: python -m model.train. A run that was stopped, at any moment, goes on to the same result.

Several processes train together where torchrun starts them.
"""

import datetime
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from model.checkpoint import SUFFIX, Card, check_name, load_checkpoint, save_checkpoint
from model.cli import run
from model.data import Images, Part, TestSet, load_data
from model.distributed import World, joined_world
from model.errors import ModelError, TrainingError
from model.evaluate import accuracy
from model.kit import Precision
from model.metrics import Metrics, Row, open_metrics, require_tensorboard
from model.networks import Network, Recovery, create_network
from model.recipe import load_recipe
from model.state import RunFiles, read_state
from model.teacher import load_teachers
from model.ties import separate_ties
from model.trainer import Job, StepResult, Trainer

SAVE_SECONDS = 60.0
SMOOTHING = 0.98
"""Weight of the past in the loss and accuracy that the progress line shows."""


@contextmanager
def _stop_flag() -> Iterator[threading.Event]:
    """Turn Ctrl-C and termination into a flag, so that no step is cut in two."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, ask) for kind in kinds]
    try:
        yield stop
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


class _ProgressLine:
    """The line that shows where a run is; silent in all processes but the first."""

    def __init__(self, trainer: Trainer, console: Console) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        text = TextColumn("{task.description}")
        self.progress = Progress(text, *columns, console=console, disable=not trainer.world.is_first)
        self._task = self.progress.add_task("training", total=trainer.schedule.steps, completed=trainer.step)
        self._loss = self._correct = float("nan")
        self._erased = ""
        self._text = ""

    def show(self, trainer: Trainer, result: StepResult) -> None:
        """Show a step that was done."""
        self._loss, self._correct = _smooth(self._loss, result.loss), _smooth(self._correct, result.accuracy)
        if result.erased is not None:
            self._erased = f"  erased {result.erased:.1%}"
        self._text = f"epoch {trainer.epoch:.1f}  loss {self._loss:.3f}  accuracy {self._correct:.1%}{self._erased}"
        self.progress.update(self._task, completed=trainer.step, description=self._text)

    def keep(self, top1: float) -> None:
        """Leave a line of its own behind, with the accuracy on the test images."""
        if not self.progress.disable:
            self.progress.console.print(f"{self._text}  test {top1:.2%}")


def _smooth(past: float, value: float) -> float:
    return value if math.isnan(past) else SMOOTHING * past + (1 - SMOOTHING) * value


def run_training(trainer: Trainer, state: Path, test: TestSet, metrics: Metrics, console: Console) -> None:
    """Train to the end of the schedule, saving the state now and then; raises TrainingError on Ctrl-C."""
    world, saved = trainer.world, time.monotonic()
    line = _ProgressLine(trainer, console)
    with _stop_flag() as stop, line.progress:
        while not trainer.finished:
            try:
                result = trainer.advance()
            except ModelError as error:
                _save(trainer, state)
                raise TrainingError(f"{error}; the state of step {trainer.good.step} is kept in {state}") from error
            line.show(trainer, result)
            top1 = None
            if trainer.step % trainer.schedule.steps_per_epoch == 0:
                top1 = accuracy(trainer.network, test, world=world).top1
                line.keep(top1)
            metrics.add(_row(trainer, result, top1))
            (stopping,) = world.sums((float(stop.is_set()),))
            if stopping or time.monotonic() - saved > SAVE_SECONDS:
                _save(trainer, state)
                saved = time.monotonic()
            if stopping:
                raise TrainingError(f"stopped; the state of step {trainer.good.step} is saved, go on with --resume")


def _save(trainer: Trainer, state: Path) -> None:
    if trainer.world.is_first:
        trainer.save(state)


def _row(trainer: Trainer, result: StepResult, top1: float | None) -> Row:
    return Row(
        step=trainer.step,
        epoch=trainer.epoch,
        learning_rate=result.learning_rate,
        loss=result.loss,
        accuracy=result.accuracy,
        erased=result.erased,
        test_top1=top1,
    )


def main(
    *,
    network: Annotated[str, typer.Option(help="network to train")] = "tiny",
    precision: Annotated[
        Precision, typer.Option(help="the paper's numbers, the hardware's integers, or real numbers throughout")
    ] = "hardware",
    recovery: Annotated[Recovery | None, typer.Option(help="information recovery; default: the network's own")] = None,
    output: Annotated[Path | None, typer.Option(help="checkpoint to write; default: runs/NETWORK.safetensors")] = None,
    recipe: Annotated[str | None, typer.Option(help="recipe: a YAML file, or the name of a shipped one")] = None,
    epochs: Annotated[float | None, typer.Option(help="stretch the recipe to this many epochs")] = None,
    release: Annotated[
        float | None, typer.Option(help="branch off the stopped run, let its rate fall for this many epochs")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="everything random follows from it")] = 0,
    data_dir: Annotated[Path | None, typer.Option(help="folder of the data set; default: IR2NET_DATA")] = None,
    download: Annotated[bool, typer.Option("--download", help="fetch CIFAR-10 from the Hugging Face hub")] = False,
    init: Annotated[Path | None, typer.Option(help="checkpoint whose weights to start from")] = None,
    leave_out: Annotated[
        str | None,
        typer.Option(help="a part, 1/3 say, of the images not to learn from: for a teacher that is an outsider"),
    ] = None,
    teacher: Annotated[
        list[Path] | None, typer.Option(help="weights (.safetensors) of the recipe's teacher; again for each outsider")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was stopped")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="discard a run that was stopped")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="write event files beside the output")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="processor threads")] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="compile the step first, a minute or two: for runs of an hour and more")
    ] = False,
) -> None:
    """Train a network and write its checkpoint and card."""
    plan = load_recipe(network, recipe, precision)
    if epochs is not None:
        plan = plan.scaled(epochs)
    target = Path("runs") / f"{network}{SUFFIX}" if output is None else output
    check_name(target)
    files = RunFiles(target, release=release is not None)
    _check_state(files.state, resume, restart)
    if tensorboard:
        require_tensorboard()
    if threads is not None:
        torch.set_num_threads(threads)
    model, start = create_network(network, precision=precision, recovery=recovery, seed=seed), None
    if init is not None:
        model, start = load_checkpoint(init, network, precision)
        if model.recovery != (recovery or model.spec.recovery):
            raise TrainingError(f"{init} has {model.recovery} recovery: give it with --recovery")
    guide, outsiders = load_teachers(teacher or [], plan.teacher, model.spec)
    train, test = (load_data(network, split, data_dir, download=download) for split in ("train", "test"))
    if leave_out is not None:
        if not isinstance(train, Images):
            raise TrainingError("--leave-out is for data sets in memory, not for ImageNet's pictures")
        train = train.without(Part.read(leave_out))
    own = recovery in (None, model.spec.recovery)
    job = Job(plan, train, seed, precision, None if own else recovery, start, guide, outsiders)
    with joined_world() as world:
        trainer = _prepared(model, job, world, files, release=release, resume=resume, compiled=compile)
        console = Console(highlight=False, quiet=not world.is_first)
        if not world.has_bfloat16 and any(phase.precision == "bfloat16" for phase in trainer.job.recipe.phases):
            console.print("the recipe asks for bfloat16, which this device has not: it trains in float32")
        board = files.board if tensorboard else None
        with _metrics(trainer, files.metrics, trainer.step if resume else None, board) as metrics:
            run_training(trainer, files.state, test, metrics, console)
        options: list[tuple[str, Path | str | None]] = [("--recipe", recipe), ("--init", init)]
        options += [("--teacher", path) for path in teacher or []]
        if release is not None:
            options.append(("--release", f"{release:g}"))
        card = finish(trainer, target, test, options)
        if world.is_first:
            files.state.unlink(missing_ok=True)
        result = f"top-1 {card.top1:.2%} of {card.test_images} test images ({card.dataset})"
        console.print(f"{target}: {result}", soft_wrap=True)


def _prepared(
    model: Network, job: Job, world: World, files: RunFiles, *, release: float | None, resume: bool, compiled: bool
) -> Trainer:
    """Return the trainer of a run, or of a release of one, at its first step or where it was stopped."""
    before = None
    if release is not None:
        before = read_state(files.state if resume else files.parent_state)
        if not resume and before.run != job.identity():
            raise TrainingError(f"{files.parent_state} is no state of this run: repeat its recipe, seed and --init")
        job = job.released(release, before.begin if resume else before.step)
    trainer = Trainer(model, job, world, compiled=compiled)
    if resume:
        trainer.restore(files.state)
    elif before is not None:
        trainer.adopt(before, files.parent_state)
    world.wait()  # every process has looked for a state before there is a new one
    if not resume:
        _save(trainer, files.state)  # an output folder that cannot be written shows now, not after hours
    return trainer


def _metrics(trainer: Trainer, path: Path, after: int | None, board: Path | None) -> AbstractContextManager[Metrics]:
    return open_metrics(path, after, board) if trainer.world.is_first else nullcontext(Metrics())


def finish(
    trainer: Trainer, output: Path, test: TestSet, options: Sequence[tuple[str, Path | str | None]] = ()
) -> Card:
    """Separate ties, measure the accuracy, and write checkpoint and card; raises TrainingError.

    `options` are those of the command line that the card repeats, files by their names.
    """
    network, job = trainer.network, trainer.job
    if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
        raise TrainingError(f"the weights are no numbers after step {trainer.step - 1}; no checkpoint was written")
    network.to("cpu")
    separate_ties(network)
    network.to(trainer.world.device)
    result = accuracy(network, test, world=trainer.world)
    card = Card(
        network=job.recipe.network,
        dataset=job.data.dataset,
        images=len(job.data),
        left_out=_left_out(job),
        epochs=round(trainer.epoch + (0.0 if job.start is None else job.start.epochs), 3),
        seed=job.seed,
        top1=result.top1,
        test_images=result.images,
        command=_command(job, options),
        sha256="",
        date=datetime.date.today().isoformat(),
    )
    return save_checkpoint(output, network, card) if trainer.world.is_first else card


def _left_out(job: Job) -> str | None:
    part = job.data.left_out if isinstance(job.data, Images) else None
    return None if part is None else str(part)


def _command(job: Job, options: Sequence[tuple[str, Path | str | None]]) -> str:
    parts = ["python -m model.train --network", job.recipe.network]
    if job.precision != "hardware":
        parts += ["--precision", job.precision]
    if job.recovery is not None:
        parts += ["--recovery", job.recovery]
    if (left_out := _left_out(job)) is not None:
        parts += ["--leave-out", left_out]
    if math.isfinite(job.recipe.epochs) and not job.parent:
        parts += ["--epochs", f"{job.recipe.epochs:g}"]
    parts += ["--seed", f"{job.seed}"]
    for option, value in options:
        if value is not None:
            parts += [option, Path(value).name]
    return " ".join(parts)


def _check_state(state: Path, resume: bool, restart: bool) -> None:
    if resume and restart:
        raise TrainingError("--resume and --restart exclude each other")
    if resume and not state.exists():
        raise TrainingError(f"no run to resume: {state} does not exist")
    if state.exists() and not (resume or restart):
        raise TrainingError(f"a run was stopped there ({state}): go on with --resume, or discard it with --restart")


if __name__ == "__main__":
    run(main)
