# SPDX-License-Identifier: Apache-2.0
"""The batches of a run in memory."""

import numpy as np
import torch

from model.data import Images
from model.training.batches import make_batches
from model.training.distributed import World
from model.training.recipe import Phase, Recipe
from model.training.schedule import Schedule

IMAGES = np.random.default_rng(0).integers(1, 256, (16, 3, 32, 32), np.uint8)


def test_a_batch_has_its_images_labels() -> None:
    phase = Phase(epochs=1, size=32, restriction_interval=0, lr_start=1e-3, lr_end=1e-3)
    data = Images("noise", IMAGES, np.arange(16) % 10)
    for shift in (4, 0):
        recipe = Recipe(network="resnet20", batch_size=16, warmup_steps=0, shift=shift, flip=False, phases=(phase,))
        images, labels = make_batches(data, Schedule(recipe, 16), 0, World()).at(0)
        # A shifted picture has black lines at its borders; no pixel of the pictures themselves is black.
        assert bool((images == 0).any()) == bool(shift)
    for image, label in zip(images, labels, strict=True):
        assert any(torch.equal(image, torch.from_numpy(IMAGES[i])) and label == i % 10 for i in range(16))


def test_processes_share_the_batch_of_one() -> None:
    phase = Phase(epochs=1, size=32, restriction_interval=0, lr_start=1e-3, lr_end=1e-3)
    recipe = Recipe(network="resnet20", batch_size=16, warmup_steps=0, shift=4, flip=True, phases=(phase,))
    data = Images("noise", IMAGES, np.arange(16) % 10)
    whole, *shares = (
        make_batches(data, Schedule(recipe, 16), 0, World(*place)).at(0) for place in ((), (0, 2), (1, 2))
    )
    for expected, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat(parts), expected)
