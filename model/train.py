# SPDX-License-Identifier: Apache-2.0
"""Trains a network: python -m model.train. A run that was stopped, at any moment, goes on to the same result.

Several processes train together where torchrun starts them.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from model.checkpoint import SUFFIX, Card, check_name, load_checkpoint
from model.cli import DataDir, Download, Epochs, NetworkSource, RecipeSource, SkipDamaged, Threads, run
from model.data import DataSet, Images, Part, fitted, load_data
from model.errors import TrainingError
from model.networks import Network, NetworkSpec, Precision, Recovery, create_network
from model.networks.transfer import to_hardware
from model.training.distributed import joined_world
from model.training.job import Job
from model.training.metrics import require_tensorboard
from model.training.recipe import load_recipe
from model.training.run import Run
from model.training.state import RunFiles
from model.training.targets import Targets
from model.training.teachers import load_teacher


def main(
    *,
    network: NetworkSource = "tiny",
    precision: Annotated[Precision, typer.Option(help="the paper's numbers, or the hardware's integers")] = "hardware",
    recovery: Annotated[Recovery | None, typer.Option(help="information recovery; default: the network's own")] = None,
    output: Annotated[Path | None, typer.Option(help="checkpoint to write; default: runs/NETWORK.safetensors")] = None,
    recipe: RecipeSource = None,
    epochs: Epochs = None,
    seed: Annotated[int, typer.Option(min=0, help="everything random follows from it")] = 0,
    data_dir: DataDir = None,
    download: Download = False,
    skip_damaged: SkipDamaged = False,
    init: Annotated[
        Path | None, typer.Option(help="checkpoint whose weights to start from; the paper's move to hardware precision")
    ] = None,
    leave_out: Annotated[
        str | None, typer.Option(help="a part, 1/3 say, of the images not to learn from, but to watch the accuracy on")
    ] = None,
    teacher: Annotated[Path | None, typer.Option(help="weights (.safetensors) of the recipe's teacher")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run that was stopped")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="discard a run that was stopped")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="write event files beside the output")] = False,
    threads: Threads = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="compile the step first, a minute or two: for runs of an hour and more")
    ] = False,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="whole epochs at once, each step a CUDA graph: for one GPU")
    ] = False,
) -> None:
    """Train a network and write its checkpoint and card."""
    spec = fitted(network, data_dir)
    plan = load_recipe(spec, recipe, precision)
    plan = plan if epochs is None else plan.scaled(epochs)
    files = _files(output or Path("runs") / f"{spec.name}{SUFFIX}", resume, restart)
    if tensorboard:
        require_tensorboard()
    if threads is not None:
        torch.set_num_threads(threads)
    model, start = _start(spec, precision, recovery, seed, init)
    targets = Targets(None if teacher is None else load_teacher(teacher, plan.teacher, model.spec.classes))
    train, test = (
        load_data(spec, split, data_dir, download=download, skip_damaged=skip_damaged) for split in ("train", "test")
    )
    train, watched = (train, test) if leave_out is None else _parted(train, Part.read(leave_out))
    given = [("--recipe", recipe), ("--init", init), ("--teacher", teacher)]
    options = [(option, Path(value).name) for option, value in given if value is not None]
    job = Job(plan, train, seed, targets, start)
    with joined_world() as world:
        Run(
            model, job, files, test, watched, tuple(options),
            resume=resume, compiled=compile, graphs=graphs, board=tensorboard,
        ).carry_out(world)  # fmt: skip


def _files(output: Path, resume: bool, restart: bool) -> RunFiles:
    """Return where a run keeps its files; raises TrainingError if one that was stopped is in the way, or missing."""
    check_name(output)
    files = RunFiles.beside(output)
    if resume and restart:
        raise TrainingError("--resume and --restart exclude each other")
    if resume and not files.state.exists():
        raise TrainingError(f"no run to resume: {files.state} does not exist")
    if files.state.exists() and not (resume or restart):
        raise TrainingError(
            f"a run was stopped there ({files.state}): go on with --resume, or discard it with --restart"
        )
    return files


def _start(
    spec: NetworkSpec, precision: Precision, recovery: Recovery | None, seed: int, init: Path | None
) -> tuple[Network, Card | None]:
    """Return a fresh network, or that of a checkpoint with its card; weights of the paper's precision move."""
    if init is None:
        return create_network(spec, precision=precision, recovery=recovery, seed=seed), None
    network, card = load_checkpoint(init, spec)
    if network.spec != spec:
        raise TrainingError(f"{init} is of {network.spec.name} for other data: for other classes or another size")
    if (network.precision, precision) == ("paper", "hardware"):
        network = to_hardware(network)
    if network.precision != precision:
        raise TrainingError(f"{init} is of {network.precision} precision: give it with --precision")
    if network.recovery != (recovery or network.spec.recovery):
        raise TrainingError(f"{init} has {network.recovery} recovery: give it with --recovery")
    return network, card


def _parted(data: DataSet, part: Part) -> tuple[Images, Images]:
    """Return what is learned from, and what is left out."""
    if not isinstance(data, Images):
        raise TrainingError("--leave-out is for data sets in memory, not for ImageNet's pictures")
    return data.without(part), data.only(part)


if __name__ == "__main__":
    run(main)
