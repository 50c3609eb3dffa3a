# SPDX-License-Identifier: Apache-2.0
"""Two processes compute what one does with the same global batch."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from model.checkpoint import load_checkpoint
from model.errors import TrainingError
from model.networks import create_network
from model.training.distributed import SharedBatchNorm1d, SharedBatchNorm2d, World, share_statistics
from model.training.recipe import Phase, Recipe

RECIPE = Recipe(
    network="tiny", batch_size=32, warmup_steps=0, shift=1, flip=True, standardized_weights=True,
    phases=(
        Phase(epochs=1, size=16, restriction_interval=0, lr_start=4e-3, lr_end=4e-3),
        Phase(epochs=1, size=16, restriction_interval=1, restriction_threshold=0.9, lr_start=1e-3, lr_end=1e-3),
    ),
)  # fmt: skip


def torchrun(processes: int, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Loss, gradients, weights and batch norm statistics are equal to the roundings of double precision."""
    script = Path(__file__).with_name("two_processes.py")
    for processes in (1, 2):
        torchrun(processes, script, RECIPE.model_dump_json(), tmp_path)
    one, first, second = (load_file(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    assert one.keys() == first.keys() == second.keys()
    for name, expected in one.items():
        torch.testing.assert_close(first[name], expected, rtol=1e-9, atol=1e-11, msg=name)
        if not name.endswith("gradient"):
            assert torch.equal(first[name], second[name]), name
    assert (one["course"][:3, 2] == -1).all()
    assert (one["course"][3:, 2] > 0).all()  # restriction was at work
    assert one["right"][1] == 360


def test_command_line_with_two_processes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    options = ("--network", "tiny", "--epochs", "0.4", "--threads", "1")
    torchrun(1, "-m", "model.train", *options, "--output", one)
    torchrun(2, "-m", "model.train", *options, "--output", two)
    losses = []
    for path in (one, two):
        with path.with_suffix("").with_suffix(".metrics.csv").open(newline="") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    # In single precision a rounding turns a sign now and then, and the loss with it.
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert load_checkpoint(two)[1].epochs == load_checkpoint(one)[1].epochs
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{ending}" for name in ("one", "two") for ending in ("card.json", "metrics.csv", "safetensors")
    ]


def test_batch_norms_are_replaced_and_keep_their_tensors() -> None:
    network = create_network("tiny", seed=0)
    before = network.state_dict(keep_vars=True)
    share_statistics(network)
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, SharedBatchNorm1d | SharedBatchNorm2d) for norm in norms)
    assert all(value is before[key] for key, value in network.state_dict(keep_vars=True).items())


@pytest.mark.parametrize("names", [("avx512_bf16",), ("amx_bf16", "avx512_bf16"), ("bf16",)])
def test_processors_that_have_bfloat16(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict.fromkeys(("avx2", "avx512_bf16", "amx_bf16"), False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert not World().has_bfloat16
    found.update(dict.fromkeys(names, True))
    assert World().has_bfloat16


def test_batch_that_cannot_be_shared() -> None:
    assert World(1, 2).share(32) == slice(16, 32)
    with pytest.raises(TrainingError, match="cannot be shared equally by 3"):
        World(0, 3).share(32)
