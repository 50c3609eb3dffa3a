# SPDX-License-Identifier: Apache-2.0
"""The batches of a run in memory."""

import numpy as np
import torch

from model.batches import make_batches
from model.data import Images
from model.distributed import World
from model.recipe import Phase, Recipe, Schedule

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
    assert [bool((batches.at(step).images == 0).any()) for step in range(3)] == [True, False, True]
    batch = batches.at(1)
    for image, label in zip(batch.images, batches.labels[batch.picks], strict=True):
        assert any(torch.equal(image, torch.from_numpy(IMAGES[i])) and label == i % 10 for i in range(16))


def test_mixed_pictures_are_made_of_two() -> None:
    phase = Phase(epochs=1, size=32, shift=0, mix=0.8, restriction_interval=0, lr_start=1e-3, lr_end=1e-3)
    recipe = Recipe(network="resnet20", batch_size=16, warmup_steps=0, shift=0, flip=False, phases=(phase,))
    # Every pixel is the number of its picture.
    numbers = np.arange(16, dtype=np.uint8)
    data = Images("numbers", np.broadcast_to(numbers[:, None, None, None], (16, 3, 32, 32)).copy(), np.arange(16) % 10)
    batch = make_batches(data, Schedule(recipe, 16), 0, World()).at(0)
    assert batch.areas is not None
    for image, own, other, area in zip(batch.images, batch.picks, batch.others, batch.areas, strict=True):
        assert ((image == own) | (image == other)).all()
        assert float((image == other).float().mean()) == area
    assert 8 < (batch.areas > 0).sum() < 16
    halves = [make_batches(data, Schedule(recipe, 16), 0, World(rank, 2)).at(0) for rank in range(2)]
    for name in ("images", "picks", "others", "areas"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(batch, name))
