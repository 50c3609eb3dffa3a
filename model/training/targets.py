# SPDX-License-Identifier: Apache-2.0
"""What a network learns from: labels, or the answers of a teacher beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from model.errors import TrainingError
from model.training.batches import Batch
from model.training.distributed import World
from model.training.recipe import Recipe
from model.training.teachers import Teacher


@dataclass(frozen=True)
class Targets:
    """Labels, or what a teacher gives in their place."""

    teacher: Teacher | None = None

    def check(self, recipe: Recipe) -> None:
        """Raise TrainingError where teacher and recipe do not belong together."""
        if recipe.teacher is not None and self.teacher is None:
            raise TrainingError(
                f"the recipe takes its answers from a teacher ({recipe.teacher}): give its weights (--teacher)"
            )
        if recipe.teacher is None and self.teacher is not None:
            raise TrainingError("the recipe has no teacher: leave --teacher out")

    def identity(self) -> list[str]:
        """Return what tells this teacher from others."""
        return [] if self.teacher is None else [f"teacher {self.teacher.sha256}"]

    def begin(self, recipe: Recipe, world: World, *, compiled: bool = False) -> Callable[[Batch], Tensor]:
        """Return what gives a run's batches their targets: labels (n,), or probabilities (n, classes)."""
        if self.teacher is None:
            return lambda batch: batch.labels
        self.teacher.network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            self.teacher.network.compile(dynamic=False)
        return partial(_answers, recipe, self.teacher)


LABELS = Targets()
"""Labels alone."""


def _answers(recipe: Recipe, teacher: Teacher, batch: Batch) -> Tensor:
    """Return the teacher's answers to the views of a step, or of several, with the labels' weight beside them."""
    answers = teacher.answers(batch.images, recipe.batch_size, recipe.temperature)
    # Cross-entropy with a distribution is the distribution loss: its gradient is that of KL.
    return answers.lerp(functional.one_hot(batch.labels, answers.shape[1]).float(), recipe.label_weight)
