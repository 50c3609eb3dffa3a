# SPDX-License-Identifier: Apache-2.0
"""The batch of any step of a run, which follows from the seed and the step's number alone.

So a run that was stopped goes on with the same batches, and several processes share the ones of a single process.
"""

from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from model.data import DataSet, Images, Pictures
from model.data.views import Crops, random_resized_crop
from model.errors import TrainingError
from model.training.distributed import World
from model.training.schedule import Schedule

AHEAD = 2
"""Batches of pictures that are decoded while the network works."""


class Batch(NamedTuple):
    """What one step learns from, or several one after the other.

    Views (n, c, size, size) uint8, channels last, and labels (n,) int64, both on the run's device.
    """

    images: Tensor
    labels: Tensor


def make_batches(data: DataSet, schedule: Schedule, seed: int, world: World) -> "Batches":
    """Return the batches of a data set; raises TrainingError if it has no labels."""
    if isinstance(data, Images):
        return ImageBatches(data, schedule, seed, world)
    return PictureBatches(data, schedule, seed, world)


class Batches:
    """The order of the images: a new one every epoch, without repetition; a rest that fills no batch is left out."""

    def __init__(self, data: DataSet, schedule: Schedule, seed: int, world: World) -> None:
        if data.labels is None:
            raise TrainingError(f"{data.dataset} has no labels to learn from")
        self.labels = torch.from_numpy(data.labels)
        self.schedule = schedule
        self.recipe = schedule.recipe
        self.seed = seed
        self.world = world
        self._share = world.share(schedule.recipe.batch_size)
        self._order = (-1, torch.empty(0, dtype=torch.int64))

    def at(self, step: int) -> Batch:
        """Return this process' share of a step."""
        raise NotImplementedError

    def _picks(self, step: int) -> Tensor:
        epoch, index = divmod(step, self.schedule.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, torch.randperm(len(self.labels), generator=_generator(self.seed, 0, epoch)))
        size = self.recipe.batch_size
        return self._order[1][index * size : (index + 1) * size]


class ImageBatches(Batches):
    """Batches of images in memory, shifted and mirrored."""

    def __init__(self, data: Images, schedule: Schedule, seed: int, world: World) -> None:
        super().__init__(data, schedule, seed, world)
        self._all = torch.from_numpy(data.images).to(world.device)

    @override
    def at(self, step: int) -> Batch:
        # All of the batch is drawn in every process: a share's draws depend on those before it.
        return Batch(*(part[self._share] for part in self._shown(self._picks(step), self._drawn(step))))

    def between(self, start: int, stop: int) -> Batch:
        """Return the batches of steps of one epoch and phase, one after the other."""
        steps = range(start, stop)
        crops = Crops.joined([self._drawn(step) for step in steps])
        return self._shown(torch.cat([self._picks(step) for step in steps]), crops)

    def _drawn(self, step: int) -> Crops:
        recipe, full, size = self.recipe, self._all.shape[-1], self.schedule.at(step).phase.size
        generator = _generator(self.seed, 1, step)
        return Crops.drawn(recipe.batch_size, full, size, recipe.shift, generator, flip=recipe.flip)

    def _shown(self, picks: Tensor, crops: Crops) -> Batch:
        device = self._all.device
        return Batch(crops.of(self._all[picks.to(device)]), self.labels[picks].to(device))


class PictureBatches(Batches):
    """Batches of pictures that threads read, crop, resize and mirror in advance."""

    def __init__(self, data: Pictures, schedule: Schedule, seed: int, world: World) -> None:
        super().__init__(data, schedule, seed, world)
        self._data = data
        self._ahead: dict[int, list[Future[Tensor]]] = {}

    @override
    def at(self, step: int) -> Batch:
        device, picks = self.world.device, self._picks(step)[self._share]
        images = self._images(step).to(device, memory_format=torch.channels_last)
        return Batch(images, self.labels[picks].to(device))

    def _images(self, step: int) -> Tensor:
        for coming in range(step, min(step + 1 + AHEAD, self.schedule.steps)):
            if coming not in self._ahead:
                self._ahead[coming] = self._ask(coming)
        return torch.stack([view.result() for view in self._ahead.pop(step)])

    def _ask(self, step: int) -> list[Future[Tensor]]:
        size = self.schedule.at(step).phase.size
        places = list(enumerate(self._picks(step).tolist()))[self._share]
        return [self._data.pool.submit(self._view, step, place, pick, size) for place, pick in places]

    def _view(self, step: int, place: int, pick: int, size: int) -> Tensor:
        generator = _generator(self.seed, 2, step, place)
        recipe = self.recipe
        return random_resized_crop(self._data.read(pick), size, recipe.smallest_crop, recipe.flip, generator)


def _generator(*parts: int) -> torch.Generator:
    """Return what draws at one place of a run, which the parts name."""
    seed = np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return torch.Generator().manual_seed(int(seed))
