# SPDX-License-Identifier: Apache-2.0
"""Training: it learns, it resumes to the same result, and it keeps the last good state."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from model.checkpoint import Card, load_checkpoint
from model.data import Images, load_images
from model.errors import CheckpointError, PrecisionError, TrainingError
from model.networks import create_network
from model.networks.light import BinaryConv2d
from model.networks.quantizers import SignWeight, standardized
from model.training.distributed import World
from model.training.evaluation import accuracy
from model.training.job import Job
from model.training.recipe import Phase, Recipe, Sgd
from model.training.run import finish
from model.training.state import read_state
from model.training.trainer import Trainer

RECIPE = Recipe(
    network="tiny", batch_size=32, warmup_steps=4, shift=1, flip=False,
    phases=(
        Phase(epochs=2, size=16, restriction_interval=0, lr_start=4e-3, lr_end=1e-3),
        Phase(epochs=1, size=16, restriction_interval=2, lr_start=1e-3, lr_end=1e-4),
    ),
)  # fmt: skip

MOMENTUM = RECIPE.model_copy(
    update={
        "optimizer": Sgd(name="sgd", momentum=0.9),
        "phases": (
            Phase(epochs=2, size=16, restriction_interval=0, lr_start=0.1, lr_end=0.01, weight_decay=1e-4),
            Phase(epochs=1, size=16, restriction_interval=2, lr_start=0.01, lr_end=0, fresh_optimizer=True),
        ),
    }
)

STANDARDIZED = MOMENTUM.model_copy(update={"standardized_weights": True})


def small_trainer(seed: int = 0, recipe: Recipe = RECIPE, count: int = 192, *, compiled: bool = False) -> Trainer:
    data = load_images("tiny", "train")
    assert data.labels is not None
    part = Images(data.dataset, data.images[:count], data.labels[:count])
    return Trainer(create_network("tiny", seed=seed), Job(recipe, part, seed), compiled=compiled)


@pytest.mark.parametrize("recipe", [RECIPE, MOMENTUM, STANDARDIZED], ids=["adam", "sgd", "standardized"])
@pytest.mark.parametrize("stop", [1, 9, 13, 15])
def test_resumed_run_ends_in_the_same_weights(stop: int, recipe: Recipe, tmp_path: Path) -> None:
    straight, first, second = (small_trainer(recipe=recipe) for _ in range(3))
    course = []
    while not straight.finished:
        course.append(straight.advance())
    for _ in range(stop):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second.restore(tmp_path / "state.safetensors")
    assert second.step == stop - 1  # the newest step whose loss is known
    while not second.finished:
        step = second.step
        assert second.advance() == course[step]
    expected = straight.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in second.network.state_dict().items())


def grad_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize("recipe", [RECIPE, STANDARDIZED], ids=["plain", "standardized"])
def test_compiled_step_is_equal_but_for_roundings(recipe: Recipe) -> None:
    plain, compiled = small_trainer(recipe=recipe), small_trainer(recipe=recipe, compiled=True)
    assert compiled.advance().loss == pytest.approx(plain.advance().loss, rel=1e-5)
    for one, other in zip(plain.network.parameters(), compiled.network.parameters(), strict=True):
        assert functional.cosine_similarity(grad_of(one).flatten(), grad_of(other).flatten(), 0) > 0.99


def test_momentum_is_saved() -> None:
    trainer = small_trainer(recipe=MOMENTUM)
    trainer.advance()
    trainer.advance()
    buffers = [key for key in trainer.good.tensors if key.startswith("sgd.momentum_buffer.")]
    assert len(buffers) == len(list(trainer.network.parameters()))


def test_weight_decay_and_optimizer_follow_the_phase() -> None:
    trainer = small_trainer(recipe=MOMENTUM)
    decays = []
    while not trainer.finished:
        if trainer.step == 12:
            before = {key: value["momentum_buffer"] for key, value in trainer.optimizer.state.items()}
        trainer.advance()
        decays.append(trainer.optimizer.param_groups[0]["weight_decay"])
        if trainer.step == 13:
            fresh = {key: value["momentum_buffer"] for key, value in trainer.optimizer.state.items()}
            # Without a past, momentum is the gradient itself.
            assert all(torch.equal(fresh[key], key.grad) for key in fresh)
            assert not all(torch.equal(fresh[key], before[key]) for key in fresh)
    assert decays == [1e-4] * 12 + [0.0] * 6


def test_first_step_of_imagenet_has_real_weights() -> None:
    phases = (RECIPE.phases[0].model_copy(update={"weights": "real"}), RECIPE.phases[1])
    trainer = small_trainer(recipe=RECIPE.model_copy(update={"phases": phases}))
    used = []
    while not trainer.finished:
        trainer.advance()
        used.append({m.binary_weights for m in trainer.network.modules() if hasattr(m, "binary_weights")})
    assert used == [{False}] * 12 + [{True}] * 6


def test_other_run_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    small_trainer(seed=0).save(path)
    with pytest.raises(CheckpointError, match="other settings"):
        small_trainer(seed=1).restore(path)
    with pytest.raises(CheckpointError, match="other settings"):
        small_trainer(recipe=MOMENTUM).restore(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot read the saved state"):
        small_trainer(seed=0).restore(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="is no saved state"):
        small_trainer(seed=0).restore(path)


def test_state_of_the_first_format_is_resumed(tmp_path: Path) -> None:
    """Names and notes of saved states are those of the first release of the trainer."""
    trainer = small_trainer()
    trainer.advance()
    trainer.advance()
    trainer.save(tmp_path / "state.safetensors")
    with safe_open(tmp_path / "state.safetensors", "pt") as file:
        assert file.metadata() == {"run": f"{RECIPE.digest()} 0 scikit-learn digits 192 ", "step": "1"}
        names = {name for name, _ in trainer.network.named_parameters()}
        expected = {f"model.{name}" for name in trainer.network.state_dict()}
        expected |= {f"adam.{kind}.{name}" for kind in ("step", "exp_avg", "exp_avg_sq") for name in names}
        assert set(file.keys()) == expected


def test_loss_falls_and_checkpoint_is_written(tmp_path: Path) -> None:
    trainer = small_trainer(recipe=RECIPE.scaled(8), count=640)
    losses = []
    while not trainer.finished:
        losses.append(trainer.advance().loss)
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:10])
    card = finish(trainer, tmp_path / "net.safetensors", load_images("tiny", "test"))
    assert card.top1 is not None
    assert card.top1 > 0.6
    assert card.epochs == 8


def test_sgd_learns() -> None:
    trainer = small_trainer(recipe=MOMENTUM.scaled(6), count=640)
    losses = []
    while not trainer.finished:
        losses.append(trainer.advance().loss)
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:10])


def test_standardized_weights_learn_and_settle_in_the_checkpoint(tmp_path: Path) -> None:
    trainer = small_trainer(recipe=STANDARDIZED.scaled(6), count=640)
    losses = []
    while not trainer.finished:
        losses.append(trainer.advance().loss)
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:10])
    weights = [m.weight for m in trainer.network.modules() if isinstance(m, BinaryConv2d)]
    signs = [SignWeight.apply(standardized(weight)).detach() for weight in weights]
    assert not all(torch.equal(SignWeight.apply(weight), sign) for weight, sign in zip(weights, signs, strict=True))
    test = load_images("tiny", "test")
    watched = accuracy(trainer.network, test)
    finish(trainer, tmp_path / "net.safetensors", test)
    network, card = load_checkpoint(tmp_path / "net.safetensors")
    found = [m.weight for m in network.modules() if isinstance(m, BinaryConv2d)]
    assert all(torch.equal(SignWeight.apply(weight), sign) for weight, sign in zip(found, signs, strict=True))
    assert max(float(weight.detach().abs().max()) for weight in found) <= 1
    assert card.top1 == accuracy(network, test).top1 == pytest.approx(watched.top1, abs=0.01)  # ties turn a few


def test_standardized_weights_are_refused_in_paper_precision() -> None:
    data = small_trainer().job.data
    with pytest.raises(PrecisionError, match="are for hardware precision"):
        Trainer(create_network("tiny", precision="paper"), Job(STANDARDIZED, data, 0))


HALF = RECIPE.model_copy(
    update={"phases": tuple(phase.model_copy(update={"precision": "bfloat16"}) for phase in RECIPE.phases)}
)


def test_bfloat16_learns_nearly_as_float32_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "has_bfloat16", True)
    exact, rough = small_trainer(), small_trainer(recipe=HALF)
    first = exact.advance().loss, rough.advance().loss
    assert first[0] != first[1]  # it is in effect,
    assert abs(first[0] - first[1]) < 0.1 * first[0]  # and no more than roundings
    assert all(p.dtype == torch.float32 for p in rough.network.parameters())


def test_float32_where_there_is_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "has_bfloat16", False)
    assert small_trainer(recipe=HALF).advance() == small_trainer().advance()


def test_loss_that_is_no_number_keeps_the_last_good_state(tmp_path: Path) -> None:
    straight, broken, resumed = small_trainer(), small_trainer(), small_trainer()
    path = tmp_path / "state.safetensors"
    for _ in range(5):
        straight.advance()
        broken.advance()
    with torch.no_grad():
        broken.network.get_parameter("bn2.bias").fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is nan at step 5"):
        broken.advance()
    broken.save(path)
    assert all(bool(tensor.isfinite().all()) for tensor in read_state(path).tensors.values())
    resumed.restore(path)
    assert resumed.step == 4  # the newest step whose loss was a number
    resumed.advance()
    expected = straight.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.network.state_dict().items())


def test_weights_that_are_no_numbers_are_not_released(tmp_path: Path) -> None:
    trainer = small_trainer()
    with torch.no_grad():
        trainer.network.get_parameter("bn2.bias").fill_(float("inf"))
    with pytest.raises(TrainingError, match="no checkpoint was written"):
        finish(trainer, tmp_path / "net.safetensors", load_images("tiny", "test"))
    assert not list(tmp_path.iterdir())


def test_start_belongs_to_the_run() -> None:
    job = small_trainer().job
    card = Card(network="tiny", dataset="", images=1, epochs=1, seed=0, top1=None, test_images=None, command="",
                sha256="12", date="")  # fmt: skip
    network = create_network("tiny")
    assert Job(RECIPE, job.data, 0, start=card).identity(network) == f"{job.identity(network)}12"
    networks = [
        create_network("tiny"),
        create_network("tiny", precision="paper"),
        create_network("tiny", recovery="none"),
    ]
    assert len({job.identity(network) for network in networks}) == 3
