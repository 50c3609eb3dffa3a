# SPDX-License-Identifier: Apache-2.0
"""Pictures that stay encoded until they are asked for."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from model.data.views import centre_crop
from model.errors import DataError


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count())


@dataclass(frozen=True)
class Pictures:
    """Pictures of any size that are decoded when they are asked for, in threads.

    `encoded` returns the bytes of a picture, and `name` what a message calls it. No part of them can be left out.
    """

    left_out: ClassVar[None] = None

    dataset: str
    labels: npt.NDArray[np.int64]
    encoded: Callable[[int], bytes]
    name: Callable[[int], str]
    pool: ThreadPoolExecutor = field(default_factory=_pool)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def read(self, index: int) -> Tensor:
        """Return a picture, (3, height, width) uint8; raises DataError."""
        try:
            picture = Image.open(io.BytesIO(self.encoded(index))).convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, TypeError) as error:
            raise DataError(f"cannot read the picture {self.name(index)}: {error}") from error
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)

    def views(self, picks: Sequence[int], size: int) -> Tensor:
        """Return the middles of the pictures of these numbers, (n, 3, size, size) uint8; raises DataError."""
        return torch.stack(list(self.pool.map(lambda index: centre_crop(self.read(index), size), picks)))
