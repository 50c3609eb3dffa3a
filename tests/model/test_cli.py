# SPDX-License-Identifier: Apache-2.0
"""The command lines: one clear line for a user's error, and a run that survives an interruption."""

import getpass
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model import evaluate, train
from model.checkpoint import load_checkpoint, shipped_checkpoint
from model.cli import name_the_user, run
from model.data import Part, load_images
from model.errors import CheckpointError
from model.networks.transfer import to_hardware
from model.training import run as training_run
from model.training.distributed import World
from model.training.evaluation import accuracy
from model.training.recipe import RECIPE_DIR
from model.training.state import read_state
from model.training.trainer import StepResult, Trainer

COMMANDS: dict[str, Callable[..., None]] = {"train": train.main, "evaluate": evaluate.main}

CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Return a function that runs a command and returns its exit code, output and errors."""
    monkeypatch.delenv("IR2NET_DATA", raising=False)

    def call(name: str, *arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run(COMMANDS[name])
        return int(stop.value.code or 0), *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--network", "tinny", "--output", "{tmp}/x.safetensors"), "did you mean tiny?"),
        (("train", "--network", "resnet20", "--output", "{tmp}/x.safetensors"), "--data-dir"),
        (("train", "--epochs", "-1", "--output", "{tmp}/x.safetensors"), "must be positive"),
        (("train", "--resume", "--output", "{tmp}/x.safetensors"), "no run to resume"),
        (
            ("train", "--recipe", "{tmp}/none.yaml", "--output", "{tmp}/x.safetensors"),
            "cannot read the recipe",
        ),
        (("train", "--output", "{tmp}/x.bin"), "ends in .safetensors"),
        (("train", "--init", "{tmp}/none.safetensors"), "cannot read the checkpoint"),
        (("train", "--leave-out", "4/3"), "the first of three is written 1/3"),
        (("train", "--init", "{tiny}", "--network", "resnet20"), "is a checkpoint of tiny, not of resnet20"),
        (("train", "--teacher", "{tmp}/none.safetensors"), "cannot read the teacher's weights"),
        (("train", "--teacher", "{tiny}"), "does not fit a ResNet-34"),
        (("train", "--network", "resnet20", "--data-dir", "{tmp}"), "no CIFAR-10 in"),
        (("train", "--network", "birealnet18_B", "--teacher", "{tiny}"), "does not fit a ResNet-34"),
        (("evaluate", "--checkpoint", "{tmp}/x.safetensors"), "cannot read the checkpoint"),
        (("evaluate", "--network", "resnet21"), "did you mean resnet20"),
    ],
)
def test_errors(arguments: tuple[str, ...], message: str, tmp_path: Path, command_line: CommandLine) -> None:
    tiny = shipped_checkpoint("tiny")
    code, _, errors = command_line(*(a.replace("{tmp}", str(tmp_path)).replace("{tiny}", str(tiny)) for a in arguments))
    assert code == 1
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_interrupt_is_told(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait() -> None:
        """Take a command's place."""
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setitem(COMMANDS, "wait", wait)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    try:
        answer = command_line("wait")
    finally:
        signal.signal(signal.SIGINT, before)
    assert answer == (1, "", "error: interrupted\n")


@pytest.mark.parametrize("backend", ["light", "brevitas"])
def test_evaluate_shipped_tiny(backend: str, command_line: CommandLine) -> None:
    code, output, _ = command_line("evaluate", "--backend", backend)
    card = load_checkpoint(shipped_checkpoint("tiny"))[1]
    assert code == 0
    assert f"top-1 {card.top1:.2%}" in output
    assert "of 360 test images" in output


def test_interrupted_run_ends_in_the_same_checkpoint(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, stopped = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert command_line("train", "--epochs", "1", "--output", straight)[0] == 0

    advance = Trainer.advance

    def interrupted_advance(trainer: Trainer) -> StepResult:
        if trainer.step == 7:
            signal.raise_signal(signal.SIGINT)
        return advance(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", interrupted_advance)
        code, _, errors = command_line("train", "--epochs", "1", "--output", stopped)
    assert code == 1
    assert "stopped; the state of step 7 is saved, go on with --resume" in errors
    assert not stopped.exists()
    assert "a run was stopped there" in command_line("train", "--epochs", "1", "--output", stopped)[2]
    assert command_line("train", "--epochs", "1", "--output", stopped, "--resume")[0] == 0
    assert stopped.read_bytes() == straight.read_bytes()
    assert (tmp_path / "a.metrics.csv").read_bytes() == (tmp_path / "b.metrics.csv").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"{name}.{ending}" for name in "ab" for ending in ("card.json", "metrics.csv", "safetensors")
    ]


def test_training_goes_on_from_a_checkpoint(tmp_path: Path, command_line: CommandLine) -> None:
    target = tmp_path / "x.safetensors"
    start = shipped_checkpoint("tiny")
    assert command_line("train", "--epochs", "1", "--init", start, "--output", target)[0] == 0
    network, card = load_checkpoint(target)
    before, before_card = load_checkpoint(start)
    assert card.epochs == before_card.epochs + 1
    assert card.command.endswith("--seed 0 --init tiny.safetensors")
    assert not torch.equal(network.get_parameter("conv1.weight"), before.get_parameter("conv1.weight"))


def test_a_teacher_leaves_a_part_out(tmp_path: Path, command_line: CommandLine) -> None:
    """The part is watched on the way, so that weights can be chosen by it; the card has the test images' accuracy."""
    target = tmp_path / "x.safetensors"
    code, out, _ = command_line("train", "--epochs", "1", "--leave-out", "2/3", "--output", target)
    assert code == 0
    network, card = load_checkpoint(target)
    assert (card.left_out, card.images, card.test_images) == ("2/3", 958, 360)
    assert card.dataset.endswith("without part 2/3") and "--leave-out 2/3" in card.command
    left_out = load_images("tiny", "train").only(Part(2, 3))
    assert card.top1 == accuracy(network, load_images("tiny", "test")).top1
    watched = [line.split(",")[-1] for line in (tmp_path / "x.metrics.csv").read_text().splitlines()]
    assert watched[0] == "top1" and watched[1:-1] == [""] * 13
    right = float(watched[-1]) * len(left_out)
    assert right == pytest.approx(round(right))  # a share of the part's 479 images, not of the 360 test images
    # To separate ties, after the last row, may change an answer or two.
    assert right == pytest.approx(accuracy(network, left_out).correct, abs=3)
    assert f"left out {float(watched[-1]):.2%}" in out


def test_weights_of_paper_precision_move_to_hardware(tmp_path: Path, command_line: CommandLine) -> None:
    paper, target = tmp_path / "paper.safetensors", tmp_path / "x.safetensors"
    assert command_line("train", "--epochs", "0.5", "--precision", "paper", "--output", paper)[0] == 0
    assert command_line("train", "--epochs", "0.2", "--init", paper, "--output", target)[0] == 0
    (network, card), (source, before) = load_checkpoint(target), load_checkpoint(paper)
    assert (network.precision, before.precision) == ("hardware", "paper")
    assert card.epochs == pytest.approx(before.epochs + 0.2, abs=0.02)
    moved = to_hardware(source).get_parameter("layer1.0.conv1.weight").sign()
    # A few steps after the move, binary weights are still those that were trained.
    assert float((network.get_parameter("layer1.0.conv1.weight").sign() == moved).float().mean()) > 0.9
    code, _, errors = command_line(
        "train", "--precision", "paper", "--init", target, "--output", tmp_path / "y.safetensors"
    )
    assert code == 1 and "is of hardware precision: give it with --precision" in errors


def fail_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the weights become NaN in front of a step."""
    advance = Trainer.advance

    def broken_advance(trainer: Trainer) -> StepResult:
        if trainer.step == step:
            with torch.no_grad():
                trainer.network.get_parameter("bn2.bias").fill_(float("nan"))
        return advance(trainer)

    monkeypatch.setattr(Trainer, "advance", broken_advance)


def test_nan_between_two_saves_keeps_the_last_good_state(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert command_line("train", "--epochs", "1", "--output", straight)[0] == 0
    target.write_bytes(b"an older release")
    with monkeypatch.context() as patch:
        fail_at(patch, 9)
        code, _, errors = command_line("train", "--epochs", "1", "--output", target)
    assert code == 1
    assert len(errors.strip().splitlines()) == 1
    assert "the loss is nan at step 9" in errors
    assert "the state of step 8 is kept" in errors
    assert target.read_bytes() == b"an older release"
    assert not (tmp_path / "b.card.json").exists()
    assert command_line("train", "--epochs", "1", "--output", target, "--resume")[0] == 0
    assert target.read_bytes() == straight.read_bytes()


def test_save_does_not_overwrite_a_good_state_by_a_broken_one(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights break in the update after a finite loss, and a save is due before the next loss."""
    advance = Trainer.advance

    def breaking_advance(trainer: Trainer) -> StepResult:
        result = advance(trainer)
        if trainer.step == 6:
            with torch.no_grad():
                trainer.network.get_parameter("bn2.bias").fill_(float("nan"))
        return result

    monkeypatch.setattr(Trainer, "advance", breaking_advance)
    monkeypatch.setattr(training_run, "SAVE_SECONDS", 0.0)
    target = tmp_path / "x.safetensors"
    assert command_line("train", "--epochs", "1", "--output", target)[0] == 1
    state = read_state(tmp_path / "x.state.safetensors")
    assert state.step == 5
    assert all(bool(tensor.isfinite().all()) for tensor in state.tensors.values())


SHORT_RECIPE = "network: tiny\nbatch_size: 128\nwarmup_steps: 2\nshift: 1\nflip: false\nphases: [{phase}]\n"


@pytest.mark.parametrize("has", [True, False])
def test_missing_bfloat16_is_told(
    *, has: bool, tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "has_bfloat16", has)
    phase = "{epochs: 0.1, size: 16, restriction_interval: 0, precision: bfloat16, lr_start: 4.0e-3, lr_end: 0}"
    (tmp_path / "half.yaml").write_text(SHORT_RECIPE.format(phase=phase))
    code, out, _ = command_line("train", "--recipe", tmp_path / "half.yaml", "--output", tmp_path / "x.safetensors")
    assert code == 0
    assert ("it trains in float32" in out) is not has


def test_tensorboard(tmp_path: Path, command_line: CommandLine) -> None:
    pytest.importorskip("tensorboardX")
    target = tmp_path / "x.safetensors"
    assert command_line("train", "--epochs", "0.2", "--output", target, "--tensorboard")[0] == 0
    (events,) = (tmp_path / "x.tensorboard").iterdir()
    assert events.stat().st_size > 500


def test_truncated_data_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 cut off")
    target = tmp_path / "x.safetensors"
    command = [sys.executable, "-m", "model.train", "--network", "resnet20", "--data-dir", tmp_path, "--output", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot read {tmp_path / 'train.parquet'}")
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_truncated_files_are_explained(tmp_path: Path, command_line: CommandLine) -> None:
    start = tmp_path / "start.safetensors"
    start.write_bytes(shipped_checkpoint("tiny").read_bytes()[:2000])
    card = shipped_checkpoint("tiny").with_suffix("").with_suffix(".card.json").read_text()
    (tmp_path / "start.card.json").write_text(card)
    target = tmp_path / "x.safetensors"
    target.write_bytes(b"an older release")
    (tmp_path / "x.state.safetensors").write_bytes(b"cut off")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for options, message in (
        (("--init", start, "--restart"), "damaged checkpoint"),
        (("--resume",), "cannot read the saved state"),
    ):
        code, _, errors = command_line("train", "--output", target, *options)
        assert code == 1
        assert message in errors
        assert len(errors.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_whole_epochs_at_once_end_in_the_same_weights(command_line: CommandLine, tmp_path: Path) -> None:
    recipe = tmp_path / "short.yaml"
    phase = "{epochs: 1, size: 16, restriction_interval: 0, lr_start: 4.0e-3, lr_end: 0}"
    recipe.write_text(SHORT_RECIPE.format(phase=phase))
    outputs = [tmp_path / f"{name}.safetensors" for name in ("single", "whole")]
    for output, graphs in zip(outputs, ([], ["--graphs"]), strict=True):
        assert command_line("train", "--recipe", recipe, "--output", output, *graphs)[0] == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_a_network_of_ones_own_learns_from_ones_own_pictures(tmp_path: Path, command_line: CommandLine) -> None:
    """Its classes' names and its size go with the weights."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for index in range(8):
                image = np.full((20, 20), 40 if name == "cat" else 200, np.uint8)
                Image.fromarray(image).save(tmp_path / "pets" / split / name / f"{index}.png")
    (tmp_path / "small.yaml").write_text("like: tiny\nwidths: [8, 16]\nblocks: 1\nsize: 20\nclasses: 2\n")
    recipe = RECIPE_DIR / "tiny.yaml"
    (tmp_path / "own.yaml").write_text(recipe.read_text().replace("batch_size: 64", "batch_size: 8"))
    output, options = tmp_path / "small.safetensors", ("--network", tmp_path / "small.yaml", "--output")
    assert "no recipe comes with small" in command_line("train", *options, output, "--data-dir", tmp_path / "pets")[2]
    options = (*options, output, "--data-dir", tmp_path / "pets", "--recipe", tmp_path / "own.yaml", "--epochs", "2")
    code, _, errors = command_line("train", *options)
    assert (code, errors) == (0, "")
    network, card = load_checkpoint(output, tmp_path / "small.yaml")
    assert (network.spec.size, network.spec.classes, network.spec.dataset) == (20, 2, "own")
    assert (card.network, card.dataset, card.images, card.test_images) == ("small", "pets", 16, 16)
    code, out, _ = command_line("evaluate", "--checkpoint", output, "--data-dir", tmp_path / "pets")
    assert code == 0 and "small on pets: top-1" in out
    (tmp_path / "small.yaml").write_text("like: tiny\nwidths: [8, 16]\nblocks: 2\nsize: 20\nclasses: 2\n")
    with pytest.raises(CheckpointError, match="is not of the network small: its blocks is 1, not 2"):
        load_checkpoint(output, tmp_path / "small.yaml")


def test_a_network_of_the_registry_is_fitted_to_ones_own_data(tmp_path: Path, command_line: CommandLine) -> None:
    rng = np.random.default_rng(0)
    arrays = {"images": rng.integers(0, 256, (90, 24, 24), np.uint8), "labels": np.arange(90) % 3}
    np.savez(tmp_path / "own.npz", **arrays)
    output = tmp_path / "tiny.safetensors"
    code, _, errors = command_line("train", "--output", output, "--data-dir", tmp_path / "own.npz", "--epochs", "2")
    assert (code, errors) == (0, "")
    network, card = load_checkpoint(output, "tiny")
    assert (network.spec.size, network.spec.classes) == (24, 3)
    assert card.spec == network.spec
    assert (card.images, card.test_images) == (72, 18)


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    name_the_user()
    assert getpass.getuser() == "4000000"
