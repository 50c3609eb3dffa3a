# SPDX-License-Identifier: Apache-2.0
"""Recipes and the schedules that follow from them."""

import math
from pathlib import Path

import pytest

from model.errors import RecipeError
from model.networks import NETWORKS
from model.training.recipe import RECIPE_DIR, Adam, Phase, Recipe, Sgd, load_recipe
from model.training.schedule import Schedule

RECIPE = Recipe(
    network="tiny", batch_size=32, warmup_steps=4, shift=1, flip=False,
    phases=(
        Phase(epochs=2, size=16, restriction_interval=0, lr_start=4e-3, lr_end=1e-3),
        Phase(epochs=1, size=16, restriction_interval=2, lr_start=1e-3, lr_end=1e-4),
    ),
)  # fmt: skip


def test_schedule() -> None:
    schedule = Schedule(RECIPE, 330)
    assert (schedule.steps_per_epoch, schedule.steps) == (10, 30)
    assert [schedule.at(step).phase.restriction_interval for step in (0, 19, 20, 29)] == [0, 0, 2, 2]
    assert [step for step in range(30) if schedule.at(step).is_first] == [0, 20]
    assert schedule.at(0).learning_rate == pytest.approx(1e-3)  # a quarter of the way into the warm-up
    assert schedule.at(10).learning_rate == pytest.approx(2.5e-3)
    assert schedule.at(20).learning_rate == pytest.approx(1e-3)
    assert Schedule(RECIPE.scaled(1.5), 330).steps == 15


def test_digest_does_not_change_by_fields_that_are_not_used() -> None:
    """States that were saved before a field existed belong to the same recipe today."""
    tiny = load_recipe("tiny").scaled(1)
    assert tiny.digest() == "58948f9ad2515c8c8b4b18acb3c1c1ba80d849da031100ea2a2bf01bd0a54f87"
    assert tiny.model_copy(update={"optimizer": Sgd(name="sgd", momentum=0.9)}).digest() != tiny.digest()
    assert tiny.model_copy(update={"optimizer": Adam()}).digest() == tiny.digest()
    phase = tiny.phases[0].model_copy(update={"weight_decay": 1e-4})
    assert tiny.model_copy(update={"phases": (phase, *tiny.phases[1:])}).digest() != tiny.digest()


def test_shipped_recipes_are_valid() -> None:
    checked = set()
    for path in sorted(RECIPE_DIR.glob("*.yaml")):
        for network in NETWORKS:
            head = path.stem.split("-")[0]
            if network == head or network.rpartition("_")[0] == head:
                assert load_recipe(network, path.stem).network == network
                checked.add(path.stem)
    assert checked == {path.stem for path in RECIPE_DIR.glob("*.yaml")}


def test_every_network_has_a_recipe_of_its_own() -> None:
    for name in NETWORKS:
        assert load_recipe(name).network == name
        assert load_recipe(name, precision="paper").network == name


@pytest.mark.parametrize(
    ("network", "epochs", "rate", "decay"),
    [("resnet20", [500], 0.11, [1e-4]), ("vgg_small", [400], 0.08, [1e-4]), ("resnet18", [600], 0.08, [1e-4])],
)
def test_recipes_of_the_paper_for_cifar10(network: str, epochs: list[float], rate: float, decay: list[float]) -> None:
    recipe = load_recipe(network, precision="paper")
    assert recipe.optimizer == Sgd(name="sgd", momentum=0.9)
    assert recipe.batch_size == 128
    assert [phase.epochs for phase in recipe.phases] == epochs
    assert [phase.weight_decay for phase in recipe.phases] == decay
    schedule = Schedule(recipe, 50_000)
    assert [schedule.at(step).learning_rate for step in (0, schedule.steps // 2)] == pytest.approx([rate, rate / 2])
    assert schedule.at(schedule.steps - 1).learning_rate < 1e-9
    assert all(p.restriction_interval == 1 and p.restriction_threshold == 0.15 for p in recipe.phases)


def test_recipe_of_the_paper_for_imagenet() -> None:
    recipe = load_recipe("birealnet18_C", precision="paper")
    assert (recipe.optimizer, recipe.batch_size, recipe.teacher) == (Adam(), 512, "resnet34")
    assert [(p.epochs, p.weights, p.weight_decay) for p in recipe.phases] == [(256, "real", 1e-5), (256, "binary", 0)]
    schedule = Schedule(recipe, 1_281_167)
    second = 256 * schedule.steps_per_epoch
    assert schedule.at(second).learning_rate == 1e-3
    assert schedule.at(second).is_first
    assert recipe.phases[1].fresh_optimizer


HEAD = "batch_size: 1, warmup_steps: 0, shift: 0, flip: false"
PHASE = "{epochs: 1, size: 32, restriction_interval: 0, lr_start: 1.0, lr_end: 1.0}"
REAL = "{epochs: 1, size: 16, restriction_interval: 0, lr_start: 1.0, lr_end: 1.0, weights: real}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- [", "no YAML"),
        ("network: tiny\nnetwork: tiny", "'network' stands twice"),
        ("network: tiny", "batch_size: Field required"),
        (f"{{network: resnet20, {HEAD}, phases: [{PHASE}]}}", "is for resnet20"),
        (f"{{network: tiny, {HEAD}, phases: [{PHASE}]}}", "larger than the pictures"),
        (f"{{network: tiny, {HEAD}, phases: [], colour: 1}}", "wrong"),
        (f"{{network: tiny, {HEAD}, phases: [{PHASE.replace('epochs: 1', 'epochs: .inf')}]}}", "finite number"),
        (f"{{network: tiny, {HEAD}, phases: [{REAL}], standardized_weights: true}}", "signs throughout"),
        (f"{{network: tiny, {HEAD}, phases: [{PHASE}], optimizer: {{name: lion}}}}", "optimizer"),
        (f"{{network: tiny, {HEAD}, phases: [{PHASE}], optimizer: {{name: sgd}}}}", "momentum: Field required"),
    ],
)
def test_bad_recipe(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe("tiny", path)


def test_impossible_lengths() -> None:
    for epochs in (0, -1, math.inf, math.nan):
        with pytest.raises(RecipeError, match="must be positive"):
            RECIPE.scaled(epochs)
    with pytest.raises(RecipeError, match="do not fill a batch"):
        Schedule(RECIPE, 20)
    with pytest.raises(RecipeError, match="no step at all"):
        Schedule(RECIPE.scaled(0.01), 64)


def test_a_wider_network_takes_the_recipe_of_its_family() -> None:
    assert load_recipe("resnet20_w32", "resnet20-gpu").network == "resnet20_w32"
    with pytest.raises(RecipeError, match="is for resnet20, not for vgg_small"):
        load_recipe("vgg_small", "resnet20-gpu")
