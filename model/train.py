# SPDX-License-Identifier: Apache-2.0
"""Trains a network: python -m model.train. A run that was stopped, at any moment, goes on to the same result.

Everything random follows from the seed and the step's number; weights and optimizer are saved together.
"""

import datetime
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import numpy as np
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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from model.checkpoint import (
    SUFFIX,
    Card,
    check_name,
    load_checkpoint,
    load_weights,
    replace_file,
    save_checkpoint,
)
from model.cli import run
from model.data import Images, load_images
from model.errors import CheckpointError, TrainingError
from model.evaluate import accuracy
from model.networks import ResidualNetwork, create_network
from model.recipe import Phase, Recipe, Schedule, load_recipe
from model.restriction import restricted_loss
from model.ties import separate_ties

SAVE_SECONDS = 60.0
SMOOTHING = 0.98
"""Weight of the past in the loss and accuracy that the progress line shows."""


def augment(images: Tensor, size: int, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Return random crops (n, c, size, size) of uint8 images (n, c, h, h), mirrored or not.

    Whole pictures move by up to `shift` pixels, with zeros around them; smaller crops lie inside the picture.
    """
    count, full = len(images), images.shape[-1]
    padded = functional.pad(images, (shift, shift, shift, shift))
    low, high = (0, 2 * shift) if size == full else (shift, shift + full - size)
    top, left = torch.randint(low, high + 1, (2, count), generator=generator)
    pixels = torch.arange(size)
    rows, columns = top[:, None] + pixels, left[:, None] + pixels
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2).contiguous()


@dataclass
class Trainer:
    """A run: network, optimizer, schedule and the number of steps done.

    `start` is the card of the checkpoint that the weights came from, None for fresh weights. `erased` is
    the share of pixels that information restriction erased last, None before its first step.
    """

    network: ResidualNetwork
    recipe: Recipe
    data: Images
    seed: int
    start: Card | None = None
    step: int = 0
    erased: float | None = None
    schedule: Schedule = field(init=False)
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        if self.data.labels is None:
            raise TrainingError(f"{self.data.dataset} has no labels to learn from")
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.train()
        self.schedule = Schedule(self.recipe, len(self.data))
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=self.recipe.phases[0].lr_start)
        self._images = torch.from_numpy(self.data.images)
        self._labels = torch.from_numpy(self.data.labels)
        self._order = (-1, torch.empty(0, dtype=torch.int64))

    @property
    def finished(self) -> bool:
        """True when every step of the schedule is done."""
        return self.step >= self.schedule.steps

    @property
    def epoch(self) -> float:
        """Passes over the training images so far."""
        return self.step / self.schedule.steps_per_epoch

    def advance(self) -> tuple[float, float]:
        """Do one step and return the batch's loss and accuracy; raises TrainingError on a loss of NaN."""
        position = self.schedule.at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = position.learning_rate
        images, labels = self._batch(position.phase.size)
        loss, logits = self._loss(images, labels, position.phase)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {self.step} (learning rate {position.learning_rate:.2e}); "
                "lower the recipe's learning rates"
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        _constrain(self.network)
        self.step += 1
        return value, float((logits.argmax(1) == labels).float().mean())

    def _loss(self, images: Tensor, labels: Tensor, phase: Phase) -> tuple[Tensor, Tensor]:
        interval = phase.restriction_interval
        # bfloat16 is a quarter faster on processors that have it; signs and small integers are exact in it.
        with torch.autocast("cpu", torch.bfloat16, enabled=phase.precision == "bfloat16"):
            if interval and self.step % interval == 0:
                loss, logits, self.erased = restricted_loss(self.network, images, labels, phase.restriction_threshold)
            else:
                logits = self.network(images)
                loss = functional.cross_entropy(logits.float(), labels)
        return loss, logits

    def _batch(self, size: int) -> tuple[Tensor, Tensor]:
        epoch, index = divmod(self.step, self.schedule.steps_per_epoch)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(_derived_seed(self.seed, 0, epoch))
            self._order = (epoch, torch.randperm(len(self._images), generator=generator))
        batch = self.recipe.batch_size
        picks = self._order[1][index * batch : (index + 1) * batch]
        generator = torch.Generator().manual_seed(_derived_seed(self.seed, 1, self.step))
        images = augment(self._images[picks], size, self.recipe.shift, self.recipe.flip, generator)
        return images.contiguous(memory_format=torch.channels_last), self._labels[picks]

    def save(self, path: Path) -> None:
        """Write the state of the run, at once or not at all."""
        tensors = {f"model.{name}": tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        names = [name for name, _ in self.network.named_parameters()]
        for index, moments in self.optimizer.state_dict()["state"].items():
            for kind, tensor in moments.items():
                tensors[f"adam.{kind}.{names[index]}"] = tensor.contiguous()
        replace_file(path, save(tensors, {"step": str(self.step), "run": self._identity()}))

    def restore(self, path: Path) -> None:
        """Go on from a saved state; raises CheckpointError if it is damaged or belongs to another run."""
        tensors, notes = _read_state(path)
        if notes.get("run") != self._identity():
            raise CheckpointError(
                f"{path} belongs to a run with other settings (recipe, seed, data set or --init); "
                "repeat them or use --restart"
            )
        prefix = "model."
        weights = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        load_weights(self.network, weights, path)
        state = self.optimizer.state_dict()
        for index, (name, _) in enumerate(self.network.named_parameters()):
            kinds = ("step", "exp_avg", "exp_avg_sq")
            moments = {kind: tensors[f"adam.{kind}.{name}"] for kind in kinds if f"adam.{kind}.{name}" in tensors}
            if moments:
                state["state"][index] = moments
        self.optimizer.load_state_dict(state)
        self.step = int(notes["step"])

    def _identity(self) -> str:
        start = "" if self.start is None else self.start.sha256
        return f"{self.recipe.digest()} {self.seed} {self.data.dataset} {len(self.data)} {start}"


def _derived_seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _constrain(network: ResidualNetwork) -> None:
    with torch.no_grad():
        # A negative scale here would leave a multiplication that the hardware cannot absorb.
        network.bn2.weight.clamp_(min=1e-3)
        # Weights outside their integer range get no gradient and would never come back.
        network.get_parameter("conv1.weight").clamp_(-0.99, 0.99)
        network.get_parameter("linear.weight").clamp_(-0.99, 0.99)


def _read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the saved state {path}: {error}") from error


def state_path(output: Path) -> Path:
    """Return where a run that writes the checkpoint `output` keeps its state."""
    return output.with_name(f"{output.name.removesuffix(SUFFIX)}.state{SUFFIX}")


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


def run_training(trainer: Trainer, state: Path, test: Images, console: Console) -> None:
    """Train to the end of the schedule, saving the state now and then; raises TrainingError on Ctrl-C."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    saved = time.monotonic()
    loss = correct = float("nan")
    with _stop_flag() as stop, Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=trainer.schedule.steps, completed=trainer.step)
        while not trainer.finished:
            batch_loss, batch_correct = trainer.advance()
            loss, correct = _smooth(loss, batch_loss), _smooth(correct, batch_correct)
            text = f"epoch {trainer.epoch:.1f}  loss {loss:.3f}  accuracy {correct:.1%}"
            if trainer.erased is not None:
                text += f"  erased {trainer.erased:.1%}"
            progress.update(task, completed=trainer.step, description=text)
            if trainer.step % trainer.schedule.steps_per_epoch == 0:
                result = accuracy(trainer.network, test)
                console.print(f"{text}  test {result.top1:.2%}")
            if stop.is_set() or time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(state)
                saved = time.monotonic()
            if stop.is_set():
                raise TrainingError(f"stopped at step {trainer.step}; go on with --resume")


def _smooth(past: float, value: float) -> float:
    return value if math.isnan(past) else SMOOTHING * past + (1 - SMOOTHING) * value


def main(
    *,
    network: Annotated[str, typer.Option(help="network to train")] = "tiny",
    output: Annotated[Path | None, typer.Option(help="checkpoint to write; default: runs/NETWORK.safetensors")] = None,
    recipe: Annotated[Path | None, typer.Option(help="recipe (YAML); default: the network's own")] = None,
    epochs: Annotated[float | None, typer.Option(help="stretch the recipe to this many epochs")] = None,
    seed: Annotated[int, typer.Option(min=0, help="everything random follows from it")] = 0,
    data_dir: Annotated[Path | None, typer.Option(help="folder of parquet files; default: IR2NET_DATA")] = None,
    download: Annotated[bool, typer.Option("--download", help="fetch CIFAR-10 from the Hugging Face hub")] = False,
    init: Annotated[Path | None, typer.Option(help="checkpoint whose weights to start from")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was stopped")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="discard a run that was stopped")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="processor threads")] = None,
) -> None:
    """Train a network and write its checkpoint and card."""
    console = Console(highlight=False)
    plan = load_recipe(network, recipe)
    if epochs is not None:
        plan = plan.scaled(epochs)
    target = Path("runs") / f"{network}{SUFFIX}" if output is None else output
    check_name(target)
    state = state_path(target)
    _check_state(state, resume, restart)
    if threads is not None:
        torch.set_num_threads(threads)
    model = create_network(network, seed=seed)
    start = None
    if init is not None:
        model, start = load_checkpoint(init, network)
    trainer = Trainer(model, plan, load_images(network, "train", data_dir, download=download), seed, start)
    test = load_images(network, "test", data_dir, download=download)
    if resume:
        trainer.restore(state)
    else:
        trainer.save(state)  # an output folder that cannot be written shows now, not after hours
    run_training(trainer, state, test, console)
    extra = {"--recipe": recipe, "--init": init}
    card = finish(trainer, target, test, extra)
    state.unlink(missing_ok=True)
    result = f"top-1 {card.top1:.2%} of {card.test_images} test images ({card.dataset})"
    console.print(f"{target}: {result}", soft_wrap=True)


def finish(trainer: Trainer, output: Path, test: Images, files: Mapping[str, Path | None] | None = None) -> Card:
    """Separate ties, measure the accuracy, and write checkpoint and card.

    `files` are options of the command line with a file each; the card tells their names.
    """
    separate_ties(trainer.network)
    result = accuracy(trainer.network, test)
    card = Card(
        network=trainer.recipe.network,
        dataset=trainer.data.dataset,
        images=len(trainer.data),
        epochs=round(trainer.epoch + (0.0 if trainer.start is None else trainer.start.epochs), 3),
        seed=trainer.seed,
        top1=result.top1,
        test_images=result.images,
        command=_command(trainer, files or {}),
        sha256="",
        date=datetime.date.today().isoformat(),
    )
    return save_checkpoint(output, trainer.network, card)


def _command(trainer: Trainer, files: Mapping[str, Path | None]) -> str:
    parts = ["python -m model.train --network", trainer.recipe.network]
    parts += ["--epochs", f"{trainer.recipe.epochs:g}", "--seed", f"{trainer.seed}"]
    for option, file in files.items():
        if file is not None:
            parts += [option, file.name]
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
