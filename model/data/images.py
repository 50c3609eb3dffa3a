# SPDX-License-Identifier: Apache-2.0
"""What a data set is: images in memory, or pictures that stay encoded until they are asked for."""

import io
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from model.data.views import centre_crop
from model.errors import DataError

Split = Literal["train", "test"]

DAMAGED = " (--skip-damaged leaves such pictures out)"
PARTS_SEED = 5
"""Of the order in which chance cuts a data set: cards name parts by their numbers, so it stays."""


@dataclass(frozen=True)
class Part:
    """Part `index`, 1 .. `count`, of a data set that chance cuts in parts, always in the same way."""

    index: int
    count: int

    @classmethod
    def read(cls, text: str) -> "Part":
        """Return the part that is written "1/3"; raises DataError."""
        match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
            raise DataError(f"no part of a data set: {text}; the first of three is written 1/3")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        """Write it as `read` reads it."""
        return f"{self.index}/{self.count}"

    def of(self, length: int) -> npt.NDArray[np.bool_]:
        """Return which of that many images are in it, (length,)."""
        numbers = np.random.default_rng(PARTS_SEED).permutation(length)
        return np.equal(numbers % self.count, self.index - 1)


@dataclass(frozen=True)
class Images:
    """Images (n, channels, height, width) uint8, labels (n,) int64 where known, and the data set's name.

    `left_out` is the part of the data set that is not among them; `classes` are names, none where they are numbers.
    """

    dataset: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None = None
    left_out: Part | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def views(self, picks: Sequence[int], size: int) -> Tensor:
        """Return the images of these numbers, (n, channels, size, size) uint8; they have that size."""
        return torch.from_numpy(self.images[list(picks)])

    def without(self, part: Part) -> "Images":
        """Return the images of a whole data set but those of a part."""
        rest = self.chosen(~part.of(len(self)), f"{self.dataset} without part {part}")
        return replace(rest, left_out=part)

    def only(self, part: Part) -> "Images":
        """Return the images of a whole data set that are in a part."""
        return self.chosen(part.of(len(self)), f"{self.dataset} part {part}")

    def chosen(self, picks: npt.NDArray[Any], dataset: str) -> "Images":
        """Return the images of these numbers, or of this mask, as a data set of that name."""
        labels = None if self.labels is None else self.labels[picks]
        return replace(self, dataset=dataset, images=self.images[picks], labels=labels)


@dataclass(frozen=True)
class Pictures:
    """Pictures of any size that are decoded when they are asked for, in threads.

    `encoded` returns the bytes of a picture, and `name` what a message calls it. No part of them can be left out.
    """

    left_out: ClassVar[None] = None
    classes: ClassVar[tuple[str, ...]] = ()

    dataset: str
    labels: npt.NDArray[np.int64]
    encoded: Callable[[int], bytes]
    name: Callable[[int], str]
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(os.cpu_count()))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def read(self, index: int, channels: int = 3) -> Tensor:
        """Return a picture, (channels, height, width) uint8, in colours or, of one channel, grey; raises DataError."""
        try:
            picture = Image.open(io.BytesIO(self.encoded(index))).convert("RGB" if channels == 3 else "L")
        except (UnidentifiedImageError, OSError, ValueError, TypeError) as error:
            raise DataError(f"cannot read the picture {self.name(index)}: {error}{DAMAGED}") from error
        pixels = torch.from_numpy(np.array(picture))
        return pixels.permute(2, 0, 1) if channels == 3 else pixels[None]

    def without_damaged(self) -> "Pictures":
        """Return the pictures that can be read, all of which are read for that; the name says how many cannot."""

        def readable(index: int) -> bool:
            try:
                self.read(index)
            except DataError:
                return False
            return True

        picks = np.flatnonzero(list(self.pool.map(readable, range(len(self)))))
        if len(picks) == len(self):
            return self
        return Pictures(
            f"{self.dataset} ({len(self) - len(picks)} damaged left out)",
            self.labels[picks],
            lambda index: self.encoded(picks[index]),
            lambda index: self.name(picks[index]),
            self.pool,
        )

    def views(self, picks: Sequence[int], size: int) -> Tensor:
        """Return the middles of the pictures of these numbers, (n, 3, size, size) uint8; raises DataError."""
        return torch.stack(list(self.pool.map(lambda index: centre_crop(self.read(index), size), picks)))


DataSet = Images | Pictures
