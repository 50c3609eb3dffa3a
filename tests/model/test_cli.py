# SPDX-License-Identifier: Apache-2.0
"""The command lines: one clear line for a user's error, and a run that survives an interruption."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model import evaluate, train
from model.checkpoint import load_checkpoint, shipped_checkpoint
from model.cli import run

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
        (("evaluate", "--checkpoint", "{tmp}/x.safetensors"), "cannot read the checkpoint"),
        (("evaluate", "--network", "resnet21"), "did you mean resnet20?"),
    ],
)
def test_errors(arguments: tuple[str, ...], message: str, tmp_path: Path, command_line: CommandLine) -> None:
    code, _, errors = command_line(*(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert code == 1
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


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

    advance = train.Trainer.advance

    def interrupted_advance(trainer: train.Trainer) -> tuple[float, float]:
        if trainer.step == 7:
            signal.raise_signal(signal.SIGINT)
        return advance(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(train.Trainer, "advance", interrupted_advance)
        code, _, errors = command_line("train", "--epochs", "1", "--output", stopped)
    assert code == 1
    assert "stopped at step 8; go on with --resume" in errors
    assert not stopped.exists()
    assert "a run was stopped there" in command_line("train", "--epochs", "1", "--output", stopped)[2]
    assert command_line("train", "--epochs", "1", "--output", stopped, "--resume")[0] == 0
    assert stopped.read_bytes() == straight.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.card.json", "a.safetensors", "b.card.json", "b.safetensors",
    ]  # fmt: skip


def test_training_goes_on_from_a_checkpoint(tmp_path: Path, command_line: CommandLine) -> None:
    target = tmp_path / "x.safetensors"
    start = shipped_checkpoint("tiny")
    assert command_line("train", "--epochs", "1", "--init", start, "--output", target)[0] == 0
    network, card = load_checkpoint(target)
    before, before_card = load_checkpoint(start)
    assert card.epochs == before_card.epochs + 1
    assert card.command.endswith("--seed 0 --init tiny.safetensors")
    assert not torch.equal(network.get_parameter("conv1.weight"), before.get_parameter("conv1.weight"))
