# SPDX-License-Identifier: Apache-2.0
"""The schedule that follows from a recipe and the number of images."""

from dataclasses import dataclass
from itertools import accumulate

from model.errors import RecipeError
from model.training.recipe import Phase, Recipe


@dataclass(frozen=True)
class Position:
    """Where a step is: its phase, whether it is the first one there, and the learning rate."""

    phase: Phase
    is_first: bool
    learning_rate: float


class Schedule:
    """Maps every step of a run to its phase and learning rate."""

    def __init__(self, recipe: Recipe, images: int) -> None:
        if images < recipe.batch_size:
            raise RecipeError(f"{images} images do not fill a batch of {recipe.batch_size}")
        self.recipe = recipe
        self.steps_per_epoch = images // recipe.batch_size
        ends = (end * self.steps_per_epoch for end in accumulate(phase.epochs for phase in recipe.phases))
        self._ends = [round(end) for end in ends]
        if not self.steps:
            raise RecipeError(f"{recipe.epochs:g} epochs of {self.steps_per_epoch} steps are no step at all")

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self._ends[-1]

    def same_until(self, step: int) -> int:
        """Return the first step after `step` of another epoch or phase."""
        epoch = (step // self.steps_per_epoch + 1) * self.steps_per_epoch
        return min(epoch, next(end for end in self._ends if step < end))

    def at(self, step: int) -> Position:
        """Return phase and learning rate of a step, 0 <= step < steps."""
        index = next(i for i, end in enumerate(self._ends) if step < end)
        phase = self.recipe.phases[index]
        start = self._ends[index - 1] if index else 0
        rate = phase.rate((step - start) / (self._ends[index] - start))
        warmup = min(1.0, (step + 1) / self.recipe.warmup_steps) if self.recipe.warmup_steps else 1.0
        return Position(phase, step == start, rate * warmup)
