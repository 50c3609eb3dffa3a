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


def test_a_phase_has_the_recipes_shift_or_its_own() -> None:
    shifted = Phase(epochs=1, size=32, restriction_interval=0, lr_start=1e-3, lr_end=1e-3)
    still = shifted.model_copy(update={"shift": 0})
    recipe = Recipe(
        network="resnet20", batch_size=16, warmup_steps=0, shift=4, flip=False, phases=(shifted, still, shifted)
    )
    data = Images("noise", IMAGES, np.arange(16) % 10)
    batches = make_batches(data, Schedule(recipe, 16), 0, World())
    # A shifted picture has black lines at its borders; no pixel of the pictures themselves is black.
    assert [bool((batches.at(step)[0] == 0).any()) for step in range(3)] == [True, False, True]
    images, labels, *_ = batches.at(1)
    for image, label in zip(images, labels, strict=True):
        assert any(torch.equal(image, torch.from_numpy(IMAGES[i])) and label == i % 10 for i in range(16))


def test_a_phase_varies_its_views() -> None:
    plain = Phase(epochs=1, size=32, restriction_interval=0, lr_start=1e-3, lr_end=1e-3)
    phases = (plain, plain.model_copy(update={"varied": True}))
    recipe = Recipe(network="resnet20", batch_size=16, warmup_steps=0, shift=0, flip=False, phases=phases)
    data = Images("noise", IMAGES, np.arange(16) % 10)
    batches, halves = (make_batches(data, Schedule(recipe, 16), 0, World(size=size)) for size in (1, 2))
    known = {image.tobytes() for image in IMAGES}
    assert [sum(view.numpy().tobytes() in known for view in batches.at(step)[0].contiguous()) for step in (0, 1)] == [
        16,
        0,
    ]
    assert torch.equal(batches.at(1)[0], batches.at(1)[0])
    assert torch.equal(batches.at(1)[0][:8], halves.at(1)[0])  # a share of two processes is part of the whole
