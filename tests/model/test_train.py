# SPDX-License-Identifier: Apache-2.0
"""Training: it learns, it resumes to the same result, and it refuses what cannot work."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.data import Images, load_images
from model.errors import CheckpointError, RecipeError, TrainingError
from model.networks import create_network
from model.recipe import Phase, Recipe, Schedule, load_recipe
from model.train import Trainer, augment, finish

RECIPE = Recipe(
    network="tiny", batch_size=32, warmup_steps=4, shift=1, flip=False,
    phases=(
        Phase(epochs=2, size=16, restriction_interval=0, lr_start=4e-3, lr_end=1e-3),
        Phase(epochs=1, size=16, restriction_interval=2, lr_start=1e-3, lr_end=1e-4),
    ),
)  # fmt: skip


def small_trainer(seed: int = 0, recipe: Recipe = RECIPE, count: int = 192) -> Trainer:
    data = load_images("tiny", "train")
    assert data.labels is not None
    part = Images(data.dataset, data.images[:count], data.labels[:count])
    return Trainer(create_network("tiny", seed=seed), recipe, part, seed)


@pytest.mark.parametrize("stop", [1, 9, 15])
def test_resumed_run_ends_in_the_same_weights(stop: int, tmp_path: Path) -> None:
    straight, first, second = small_trainer(), small_trainer(), small_trainer()
    while not straight.finished:
        straight.advance()
    for _ in range(stop):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second.restore(tmp_path / "state.safetensors")
    assert second.step == stop
    while not second.finished:
        second.advance()
    expected = straight.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in second.network.state_dict().items())


def test_other_run_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    small_trainer(seed=0).save(path)
    with pytest.raises(CheckpointError, match="other settings"):
        small_trainer(seed=1).restore(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot read the saved state"):
        small_trainer(seed=0).restore(path)


def test_loss_falls_and_checkpoint_is_written(tmp_path: Path) -> None:
    trainer = small_trainer(recipe=RECIPE.scaled(8), count=640)
    losses = []
    while not trainer.finished:
        losses.append(trainer.advance()[0])
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:10])
    card = finish(trainer, tmp_path / "net.safetensors", load_images("tiny", "test"))
    assert card.top1 is not None
    assert card.top1 > 0.6
    assert card.epochs == 8


def test_bfloat16_learns_nearly_as_float32_does() -> None:
    phases = tuple(phase.model_copy(update={"precision": "bfloat16"}) for phase in RECIPE.phases)
    exact, rough = small_trainer(), small_trainer(recipe=RECIPE.model_copy(update={"phases": phases}))
    first = exact.advance()[0], rough.advance()[0]
    assert first[0] != first[1]  # it is in effect,
    assert abs(first[0] - first[1]) < 0.1 * first[0]  # and no more than roundings
    assert all(p.dtype == torch.float32 for p in rough.network.parameters())


def test_loss_that_is_no_number_stops_the_run() -> None:
    trainer = small_trainer()
    with torch.no_grad():
        trainer.network.get_parameter("bn2.bias").fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        trainer.advance()


def test_augment_crops_inside_or_shifts_with_zeros() -> None:
    images = torch.full((64, 1, 16, 16), 9, dtype=torch.uint8)
    inside = augment(images, 12, 2, True, torch.Generator().manual_seed(0))
    assert inside.shape == (64, 1, 12, 12)
    assert (inside == 9).all()
    shifted = augment(images, 16, 2, False, torch.Generator().manual_seed(0))
    assert shifted.shape == images.shape
    zeros = (shifted == 0).flatten(1).float().mean(1)
    assert 0 < zeros.max() <= 1 - (14 / 16) ** 2


def test_augment_mirrors_half() -> None:
    images = torch.arange(16, dtype=torch.uint8).expand(256, 1, 16, 16)
    mirrored = augment(images, 16, 0, True, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 15
    assert 96 < mirrored.sum() < 160


def test_schedule() -> None:
    schedule = Schedule(RECIPE, 330)
    assert (schedule.steps_per_epoch, schedule.steps) == (10, 30)
    assert [schedule.at(step).phase.restriction_interval for step in (0, 19, 20, 29)] == [0, 0, 2, 2]
    assert schedule.at(0).learning_rate == pytest.approx(1e-3)  # a quarter of the way into the warm-up
    assert schedule.at(10).learning_rate == pytest.approx(2.5e-3)
    assert schedule.at(20).learning_rate == pytest.approx(1e-3)
    assert Schedule(RECIPE.scaled(1.5), 330).steps == 15


@pytest.mark.parametrize("name", ["tiny", "resnet20"])
def test_shipped_recipes_are_valid(name: str) -> None:
    assert load_recipe(name).network == name


HEAD = "batch_size: 1, warmup_steps: 0, shift: 0, flip: false"
ONE_PHASE = "[{epochs: 1, size: 32, restriction_interval: 0, lr_start: 1.0, lr_end: 1.0}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- [", "no YAML"),
        ("network: tiny", "batch_size: Field required"),
        (f"{{network: resnet20, {HEAD}, phases: {ONE_PHASE}}}", "is for resnet20"),
        (f"{{network: tiny, {HEAD}, phases: {ONE_PHASE}}}", "larger than the pictures"),
        (f"{{network: tiny, {HEAD}, phases: [], colour: 1}}", "wrong"),
    ],
)
def test_bad_recipe(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe("tiny", path)


def test_impossible_lengths() -> None:
    with pytest.raises(RecipeError, match="must be positive"):
        RECIPE.scaled(0)
    with pytest.raises(RecipeError, match="do not fill a batch"):
        Schedule(RECIPE, 20)
    with pytest.raises(RecipeError, match="no step at all"):
        Schedule(RECIPE.scaled(0.01), 64)
