# SPDX-License-Identifier: Apache-2.0
"""Distillation: what the teachers are, and that a network learns from their answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from model.data import Images
from model.errors import CheckpointError, TrainingError
from model.networks import create_network
from model.training.batches import make_batches
from model.training.distributed import World
from model.training.job import Job
from model.training.recipe import Phase, Recipe
from model.training.restriction import erase_mask
from model.training.schedule import Schedule
from model.training.targets import Targets
from model.training.teachers import CifarResNet, ResNet34, Teacher, load_teacher
from model.training.trainer import Trainer

PLAIN = Phase(epochs=4, size=32, restriction_interval=0, lr_start=1e-9, lr_end=1e-9)
RECIPE = Recipe(
    network="resnet20", batch_size=8, warmup_steps=0, shift=0, flip=False, phases=(PLAIN,), teacher="resnet34"
)


def random_resnet34(path: Path, classes: int = 10) -> Teacher:
    torch.manual_seed(0)
    save_file(ResNet34(classes).state_dict(), path)
    return load_teacher(path, "resnet34", 10)


def random_cifar_resnet(path: Path) -> Teacher:
    torch.manual_seed(0)
    network = CifarResNet(2)
    torch.nn.init.normal_(network.linear.weight)  # else it answers the same to all
    save_file(network.state_dict(), path)
    return load_teacher(path, "cifar_resnet", 10)


def noise() -> Images:
    rng = np.random.default_rng(0)
    return Images("noise", rng.integers(0, 256, (8, 3, 32, 32), np.uint8), rng.integers(0, 10, 8))


def first_batch(recipe: Recipe) -> Tensor:
    return make_batches(noise(), Schedule(recipe, 8), 0, World()).at(0)[0]


def test_distillation_is_the_mean_distribution_loss_of_plain_and_erased_image(tmp_path: Path) -> None:
    teacher = random_resnet34(tmp_path / "teacher.safetensors")
    phase = PLAIN.model_copy(update={"restriction_interval": 1, "restriction_threshold": 0.9})
    recipe = RECIPE.model_copy(update={"phases": (phase,)})
    result = Trainer(create_network("resnet20", seed=0), Job(recipe, noise(), 0, targets=Targets(teacher))).advance()

    # The same layouts: in others, roundings turn a sign here and there.
    twin = create_network("resnet20", seed=0).train().to(memory_format=torch.channels_last)
    plain = first_batch(recipe)
    logits, features = twin.logits_and_features(twin.values(plain))
    kept = erase_mask(features.detach(), 32, 0.9)
    erased_logits = twin(twin.values(plain) * kept)
    answers = teacher.network(plain).softmax(1)
    divergences = [functional.kl_div(x.log_softmax(1), answers, reduction="batchmean") for x in (logits, erased_logits)]
    entropy = -(answers * answers.log()).sum(1).mean()
    assert result.loss == pytest.approx(float(sum(divergences) / 2 + entropy), rel=1e-5)
    assert result.erased == pytest.approx(1 - float(kept.float().mean()), rel=1e-5)
    assert 0 < result.erased < 1


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_labels_have_their_weight_beside_the_answers(weight: float, tmp_path: Path) -> None:
    teacher = random_cifar_resnet(tmp_path / "resnet14.safetensors")
    recipe = RECIPE.model_copy(update={"teacher": "cifar_resnet", "label_weight": weight})
    result = Trainer(create_network("resnet20", seed=0), Job(recipe, noise(), 0, targets=Targets(teacher))).advance()
    twin = create_network("resnet20", seed=0).train().to(memory_format=torch.channels_last)
    images, labels, *_ = make_batches(noise(), Schedule(recipe, 8), 0, World()).at(0)
    logits = twin(images)
    answered = functional.cross_entropy(logits, teacher.network(images).softmax(1))
    expected = (1 - weight) * answered + weight * functional.cross_entropy(logits, labels)
    assert result.loss == pytest.approx(float(expected), rel=1e-5)


def test_recipe_and_teacher_belong_together(tmp_path: Path) -> None:
    teacher = random_resnet34(tmp_path / "teacher.safetensors")
    with pytest.raises(TrainingError, match="give its weights"):
        Job(RECIPE, noise(), 0)
    with pytest.raises(TrainingError, match="no teacher"):
        Job(RECIPE.model_copy(update={"teacher": None}), noise(), 0, targets=Targets(teacher))


def test_resnet34_is_the_published_one(tmp_path: Path) -> None:
    # Published: 21.8 M parameters (torchvision's resnet34 has 21,797,672).
    assert sum(p.numel() for p in ResNet34(1000).parameters()) == 21_797_672
    path = tmp_path / "teacher.safetensors"
    teacher = random_resnet34(path)
    assert not teacher.network.training
    assert not any(p.requires_grad for p in teacher.network.parameters())
    with pytest.raises(CheckpointError, match=r"does not fit a ResNet-34 of 1000 classes: tensor fc\.bias is \(10,\)"):
        load_teacher(path, "resnet34", 1000)
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(CheckpointError, match="cannot read the teacher's weights"):
        load_teacher(path, "resnet34", 10)


def test_a_published_resnet_of_cifar_is_as_deep_as_its_weights(tmp_path: Path) -> None:
    teacher = random_cifar_resnet(tmp_path / "resnet14.safetensors")
    assert len(teacher.network.get_submodule("layer3")) == 2  # type: ignore[arg-type]
    assert teacher.answers(torch.from_numpy(noise().images), 8).sum(1).tolist() == pytest.approx([1.0] * 8)
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(CheckpointError, match="does not fit a ResNet-2 of CIFAR-10"):
        load_teacher(tmp_path / "wrong.safetensors", "cifar_resnet", 10)


def test_answers_have_the_temperature_and_no_trace_of_the_batches(tmp_path: Path) -> None:
    """A whole epoch is asked about in batches."""
    teacher = random_cifar_resnet(tmp_path / "resnet14.safetensors")
    recipe = RECIPE.model_copy(update={"teacher": "cifar_resnet", "temperature": 4.0, "batch_size": 3})
    batch = make_batches(noise(), Schedule(RECIPE, 8), 0, World()).at(0)
    found = Targets(teacher).begin(recipe, World())(batch)
    torch.testing.assert_close(found, (teacher.network(batch.images) / 4).softmax(1))
    assert (found[0] - found[1]).abs().max() > 0.01


@pytest.mark.parametrize("change", [{"teacher": None}, {"restriction_interval": 1}])
def test_a_temperature_that_would_do_nothing_is_refused(change: dict[str, object]) -> None:
    phase = PLAIN.model_dump() | {key: change[key] for key in change if key == "restriction_interval"}
    recipe = RECIPE.model_dump() | {"temperature": 4.0, "phases": [phase]}
    Recipe.model_validate(recipe | {"phases": [PLAIN.model_dump()]})
    with pytest.raises(ValidationError, match="a temperature goes with"):
        Recipe.model_validate(recipe | {key: change[key] for key in change if key != "restriction_interval"})
