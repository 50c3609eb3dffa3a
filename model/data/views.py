# SPDX-License-Identifier: Apache-2.0
"""Random views of pictures for training, and the one view for testing, written for tensors.

The draws come from a generator on the processor, so that they are the same on every device.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ASPECT = 4 / 3
"""A random crop is at most this much wider than high, or higher than wide."""

CROP_TRIES = 10
MARGIN = 256 / 224
"""The shorter side of a test picture, relative to the crop from its middle."""


@dataclass(frozen=True)
class Crops:
    """Where square crops of pictures lie, with `shift` zeros round each picture, and which of them are mirrored.

    `top` and `left` (n,) int64 count from the first row and column of zeros; `mirrored` is (n,) bool.
    """

    size: int
    shift: int
    top: Tensor
    left: Tensor
    mirrored: Tensor

    @classmethod
    def drawn(
        cls, count: int, full: int, size: int, shift: int, generator: torch.Generator, *, flip: bool = True
    ) -> "Crops":
        """Draw crops of pictures of `full` x `full` pixels, half of them mirrored with `flip`.

        Whole pictures move by up to `shift` pixels; smaller crops lie inside the picture.
        """
        low, high = (0, 2 * shift) if size == full else (shift, shift + full - size)
        top, left = torch.randint(low, high + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5 if flip else torch.zeros(count, dtype=torch.bool)
        return cls(size, shift, top, left, mirrored)

    @classmethod
    def joined(cls, parts: Sequence["Crops"]) -> "Crops":
        """Put crops of one size one after the other."""
        places = zip(*((part.top, part.left, part.mirrored) for part in parts), strict=True)
        return cls(parts[0].size, parts[0].shift, *map(torch.cat, places))

    def of(self, images: Tensor) -> Tensor:
        """Cut uint8 images (n, c, h, h) to (n, c, size, size), channels last in memory."""
        padded = functional.pad(images, (self.shift, self.shift, self.shift, self.shift))
        pixels = torch.arange(self.size)
        rows, columns = self.top[:, None] + pixels, self.left[:, None] + pixels
        columns = torch.where(self.mirrored[:, None], columns.flip(1), columns)
        rows, columns, pictures = (part.to(images.device) for part in (rows, columns, torch.arange(len(images))))
        return padded[pictures[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_resized_crop(image: Tensor, size: int, smallest: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Return a random part of a uint8 picture (c, h, w), resized to (c, size, size), mirrored or not.

    The part shows between `smallest` and all of the area, with an aspect ratio of at most ASPECT.
    """
    top, left, rows, columns = _random_box(image.shape[1], image.shape[2], smallest, generator)
    view = resized(image[:, top : top + rows, left : left + columns], size, size)
    return view.flip(2) if flip and float(torch.rand((), generator=generator)) < 0.5 else view


def _random_box(height: int, width: int, smallest: float, generator: torch.Generator) -> tuple[int, int, int, int]:
    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    for _ in range(CROP_TRIES):
        area = height * width * draw(smallest, 1.0)
        aspect = math.exp(draw(-math.log(ASPECT), math.log(ASPECT)))
        columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < columns <= width and 0 < rows <= height:
            top = int(torch.randint(0, height - rows + 1, (), generator=generator))
            left = int(torch.randint(0, width - columns + 1, (), generator=generator))
            return top, left, rows, columns
    # A picture so long that no such part fits: the largest one in its middle.
    columns, rows = min(width, round(height * ASPECT)), min(height, round(width * ASPECT))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def centre_crop(image: Tensor, size: int) -> Tensor:
    """Return the middle (c, size, size) of a uint8 picture (c, h, w) whose shorter side is resized first."""
    height, width = image.shape[1:]
    factor = round(size * MARGIN) / min(height, width)
    image = resized(image, round(height * factor), round(width * factor))
    top, left = (image.shape[1] - size) // 2, (image.shape[2] - size) // 2
    return image[:, top : top + size, left : left + size]


def resized(image: Tensor, height: int, width: int) -> Tensor:
    """Return a uint8 picture (c, h, w) in another size, bilinear with a filter as wide as the reduction."""
    return functional.interpolate(image[None], size=(height, width), mode="bilinear", antialias=True)[0]
