# SPDX-License-Identifier: Apache-2.0
"""Whole epochs at once: the same steps as one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.data import Images
from model.errors import TrainingError
from model.networks import create_network
from model.training.epochs import EpochTrainer
from model.training.job import Job
from model.training.recipe import Phase, Recipe, Sgd
from model.training.trainer import Trainer

RNG = np.random.default_rng(0)
DATA = Images("noise", RNG.integers(0, 256, (96, 1, 16, 16), np.uint8), RNG.integers(0, 10, 96))
FIRST = Phase(epochs=2.5, size=12, restriction_interval=0, lr_start=4e-3, lr_end=1e-3)
SECOND = Phase(epochs=1.5, size=16, restriction_interval=1, restriction_threshold=1.0, lr_start=1e-3, lr_end=0)
RECIPE = Recipe(network="tiny", batch_size=24, warmup_steps=4, shift=1, flip=True, phases=(FIRST, SECOND))
STANDARDIZED = RECIPE.model_copy(update={"standardized_weights": True, "optimizer": Sgd(name="sgd", momentum=0.9)})


def trainer(kind: type[Trainer], recipe: Recipe = RECIPE) -> Trainer:
    return kind(create_network("tiny", seed=0), Job(recipe, DATA, 0))


@pytest.mark.parametrize("recipe", [RECIPE, STANDARDIZED], ids=["adam", "standardized"])
def test_epochs_are_the_same_steps(recipe: Recipe) -> None:
    single, whole = trainer(Trainer, recipe), trainer(EpochTrainer, recipe)
    ends = []
    while not whole.finished:
        result = whole.advance()
        ends.append(whole.step)
        course = [single.advance() for _ in range(whole.step - single.step)]
        assert result.loss == pytest.approx(np.mean([step.loss for step in course]))
        assert result.accuracy == pytest.approx(np.mean([step.accuracy for step in course]))
        if result.erased is not None:
            assert 0 < result.erased == pytest.approx(np.mean([step.erased or 0 for step in course]))
    assert ends == [4, 8, 10, 12, 16]  # epochs and phases
    expected = single.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in whole.network.state_dict().items())


@pytest.mark.parametrize("recipe", [RECIPE, STANDARDIZED], ids=["adam", "standardized"])
def test_a_stopped_run_goes_on_to_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    straight, first, second = (trainer(EpochTrainer, recipe) for _ in range(3))
    for _ in range(2):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second.restore(tmp_path / "state.safetensors")
    assert second.step == 4  # the newest end of an epoch whose loss is known
    for run in (straight, second):
        while not run.finished:
            run.advance()
    expected = straight.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in second.network.state_dict().items())


def test_what_changes_within_a_phase_is_refused() -> None:
    alternating = SECOND.model_copy(update={"restriction_interval": 2})
    with pytest.raises(TrainingError, match="same step throughout"):
        trainer(EpochTrainer, RECIPE.model_copy(update={"phases": (alternating,)}))


def test_a_loss_that_is_no_number_keeps_the_state_before() -> None:
    run = trainer(EpochTrainer)
    run.advance()
    with torch.no_grad():
        run.network.get_parameter("conv1.weight").fill_(torch.nan)
    with pytest.raises(TrainingError, match="lower the recipe's learning rates"):
        run.advance()
    assert run.step == 4
    assert all(bool(tensor.isfinite().all()) for tensor in run.good.tensors.values())
