# SPDX-License-Identifier: Apache-2.0
"""What a network learns from: labels, and the answers of teachers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.data import DataSet, Images, Part
from model.errors import TrainingError
from model.training.batches import Batch
from model.training.distributed import World
from model.training.recipe import Recipe
from model.training.teachers import Teacher


@dataclass(frozen=True)
class Targets:
    """The teachers of a run, if any: one that has seen the whole data set, and outsiders, each without a part of it."""

    teacher: Teacher | None = None
    outsiders: tuple[Teacher, ...] = ()

    @classmethod
    def of(cls, teachers: Sequence[Teacher]) -> "Targets":
        """Tell the outsiders by what they have not seen; raises TrainingError for two teachers that have seen all."""
        seen = [teacher for teacher in teachers if teacher.left_out is None]
        if len(seen) > 1:
            raise TrainingError(
                f"{len(seen)} teachers have seen the whole data set: give one, and outsiders (--leave-out)"
            )
        outsiders = tuple(teacher for teacher in teachers if teacher.left_out is not None)
        return cls(seen[0] if seen else None, outsiders)

    def check(self, recipe: Recipe, data: DataSet) -> None:
        """Raise TrainingError where teachers, recipe and data do not belong together."""
        if recipe.teacher is not None and self.teacher is None:
            raise TrainingError(
                f"the recipe takes its answers from a teacher ({recipe.teacher}): give its weights (--teacher)"
            )
        if recipe.teacher is None and self.teacher is not None:
            raise TrainingError("the recipe has no teacher: leave --teacher out")
        if recipe.teacher_sees != "views" and (self.teacher is None or not isinstance(data, Images)):
            raise TrainingError(
                f"the recipe has teacher_sees: {recipe.teacher_sees}, which takes a teacher and a data set in memory"
            )
        if recipe.teacher_sees == "shifts":
            full = cast(Images, data).images.shape[-1]
            if any(p.size != full or p.shift not in (None, recipe.shift) or p.varied for p in recipe.phases):
                raise TrainingError(
                    f"the recipe has teacher_sees: shifts: it takes pictures of {full} pixels and one shift throughout"
                )
        if bool(recipe.outsiders) != bool(self.outsiders):
            raise TrainingError(
                "teachers that were trained without a part of the images (--leave-out) go with the recipe's outsiders: "
                "one is given without the other"
            )
        if self.outsiders and data.left_out is not None:
            raise TrainingError("teachers' parts are those of the whole data set: leave --leave-out out")

    def identity(self) -> list[str]:
        """Return what tells these teachers from others."""
        names = [] if self.teacher is None else [f"teacher {self.teacher.sha256}"]
        return names + [f"outsider {teacher.sha256}" for teacher in self.outsiders]

    def begin(
        self, recipe: Recipe, data: DataSet, world: World, *, compiled: bool = False
    ) -> Callable[[Batch], Tensor]:
        """Return what gives a run's batches their targets; teachers that see images, not views, answer here, once."""
        for teacher in (*self.outsiders, *filter(None, [self.teacher])):
            teacher.network.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled and self.teacher is not None:
            self.teacher.network.compile(dynamic=False)
        answers = None
        if recipe.teacher_sees != "views":
            images = torch.from_numpy(cast(Images, data).images).to(world.device)  # check refuses others
            with world.arithmetic(recipe.phases[0].precision):
                answers = self._all_answers(images, recipe)
        return partial(_batch_targets, recipe, self.teacher, answers)

    def _all_answers(self, images: Tensor, recipe: Recipe) -> Tensor:
        teacher = cast(Teacher, self.teacher)
        if recipe.teacher_sees == "shifts":
            return teacher.shift_answers(images, recipe.shift, recipe.temperature)
        answers = teacher.all_answers(images, recipe.batch_size)
        if not self.outsiders:
            return answers
        return answers.lerp(unseen_answers(self.outsiders, images, recipe.batch_size), recipe.outsiders)


LABELS = Targets()
"""Labels alone."""


def _batch_targets(recipe: Recipe, teacher: Teacher | None, known: Tensor | None, batch: Batch) -> Tensor:
    """Return the targets of a batch: labels (n,), or probabilities (n, classes) where there is a teacher.

    Its answers are `known` if it sees images, (images, classes), or their shifts, (images, shifts, classes), and not
    views.
    """
    if teacher is None:
        return batch.labels
    if known is None:
        answers = teacher.answers(batch.images, recipe.temperature)
    else:
        picks = batch.picks.to(known.device)
        answers = (known[picks] if known.dim() == 2 else known[picks, batch.numbers]).float()
    # Cross-entropy with a distribution is the distribution loss: its gradient is that of KL.
    return answers.lerp(functional.one_hot(batch.labels, answers.shape[1]).float(), recipe.label_weight)


def unseen_answers(outsiders: Sequence[Teacher], images: Tensor, batch: int) -> Tensor:
    """Return the mean of the answers to each image by the outsiders that have not seen it, (n, classes).

    Such answers are what a network can know of a new picture; those of a teacher that has learned the picture are
    hardly more than its label (Dao et al. 2021, cross-fitting). Raises TrainingError if there is an image that all
    have seen.
    """
    parts = [cast(Part, teacher.left_out).of(len(images)) for teacher in outsiders]
    asked = np.sum(parts, axis=0)
    if not asked.all():
        missing = np.count_nonzero(asked == 0)
        raise TrainingError(
            f"the teachers have seen {missing} of the images: give those of the other parts (--teacher)"
        )
    total: Tensor | None = None
    for teacher, part in zip(outsiders, parts, strict=True):
        unseen = torch.from_numpy(part).to(images.device)
        answers = teacher.all_answers(images[unseen], batch)
        total = answers.new_zeros(len(images), answers.shape[1]) if total is None else total
        total[unseen] += answers
    return cast(Tensor, total) / torch.from_numpy(asked).to(images.device)[:, None]
