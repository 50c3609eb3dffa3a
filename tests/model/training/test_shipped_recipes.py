# SPDX-License-Identifier: Apache-2.0
"""Every shipped recipe, shortened to 20 steps of small batches of noise; wide networks at a fraction of their width."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import load_checkpoint
from model.data import Images
from model.networks import NETWORKS, NetworkSpec, create_network, network_spec, to_brevitas
from model.training.distributed import World
from model.training.epochs import EpochTrainer
from model.training.job import Job
from model.training.recipe import RECIPE_DIR, Recipe, load_recipe
from model.training.run import finish
from model.training.targets import LABELS, Targets
from model.training.teachers import ResNet34, Teacher
from model.training.trainer import Trainer
from tests.model.random_networks import random_images, small_spec

STEPS, BATCH = 20, 4
RECIPES = sorted(path.stem for path in RECIPE_DIR.glob("*.yaml"))


def network_of(recipe: str) -> NetworkSpec:
    """Return the network of a recipe, or the first one of its family, no wider than a test has time for."""
    head = recipe.split("-", maxsplit=1)[0]
    return small_spec(next(name for name in NETWORKS if name in (head, f"{head}_A")))


def shortened(name: str, spec: NetworkSpec, batch: int = BATCH) -> tuple[Recipe, Images]:
    """Return the recipe in 20 steps, five an epoch, and images for it."""
    recipe = load_recipe(spec.name, name)
    full = network_spec(spec.name).size
    phases = tuple(p.model_copy(update={"size": p.size * spec.size // full}) for p in recipe.phases)
    update = {"batch_size": batch, "phases": phases, "warmup_steps": min(recipe.warmup_steps, STEPS // 4)}
    count = 5 * batch
    images = random_images(create_network(spec), count).numpy()
    labels = np.random.default_rng(0).integers(0, spec.classes, count)
    return recipe.model_copy(update=update).scaled(STEPS / 5), Images("noise", images, labels)


def targets_of(recipe: Recipe, spec: NetworkSpec) -> Targets:
    return LABELS if recipe.teacher is None else Targets(Teacher(ResNet34(spec.classes), "random"))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_trains_and_its_checkpoint_is_the_network(name: str, tmp_path: Path) -> None:
    spec = network_of(name)
    recipe, data = shortened(name, spec)
    precision = "paper" if name.endswith("-paper") else "hardware"
    network = create_network(spec, precision=precision, seed=0)  # type: ignore[arg-type]
    trainer = Trainer(network, Job(recipe, data, 0, targets_of(recipe, spec)))
    before = {key: parameter.detach().clone() for key, parameter in network.named_parameters()}
    used = set()
    while not trainer.finished:
        used.add(trainer.schedule.at(trainer.step).phase)
        assert math.isfinite(trainer.advance().loss)
    assert trainer.step == STEPS and used == set(recipe.phases)
    still = [key for key, parameter in network.named_parameters() if torch.equal(parameter, before[key])]
    assert not still, "what no gradient reaches"
    card = finish(trainer, tmp_path / "net.safetensors", data)
    assert card.test_images == len(data)
    if precision == "hardware" and spec == network_spec(spec.name):
        found, _ = load_checkpoint(tmp_path / "net.safetensors")
        images = torch.from_numpy(data.images[:4])
        with torch.no_grad():
            assert torch.equal(found(images), to_brevitas(found)(images))


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no CUDA: recorded steps, what is compiled for a GPU, cuDNN's choice and its bfloat16 are not run",
)
@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith("-gpu")])
def test_recipe_for_a_gpu_is_recorded(name: str, tmp_path: Path) -> None:
    spec = network_of(name)
    recipe, data = shortened(name, spec, batch=256)
    world = World(device=torch.device("cuda", 0))
    trainer = EpochTrainer(create_network(spec, seed=0), Job(recipe, data, 0), world, compiled=True)
    losses = []
    while not trainer.finished:
        losses.append(trainer.advance().loss)
    assert trainer.step == STEPS and all(map(math.isfinite, losses))
    finish(trainer, tmp_path / "net.safetensors", data)
    assert load_checkpoint(tmp_path / "net.safetensors")[1].test_images == len(data)
