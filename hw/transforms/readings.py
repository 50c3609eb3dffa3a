# SPDX-License-Identifier: Apache-2.0
"""How the real numbers of a given graph are read from integers, and where these cross a level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.datatype import DataType

Floats = NDArray[np.float64]
Step = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Reading:
    """How a tensor of the given graph is read from a tensor of integers.

    Attributes:
        tensor: its name in the new graph, of ``shape`` (1, channels, height, width) or (1, features).
        low, high: its range.
        base: factor of the integers, one or one a channel, in front of the ``steps``.
        steps: what is done to the product.
        scale, offset: all of it as one line, a channel or at all; None where some step is no line.
        flat: read as (1, features) although the integers are a picture.
        signs: bits, of which 0 stands for -1.
    """

    tensor: str
    shape: tuple[int, ...]
    low: int
    high: int
    base: Floats
    steps: tuple[Step, ...] = ()
    scale: Floats | None = None
    offset: Floats | None = None
    flat: bool = False
    signs: bool = False

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """The shape, without the batch, over which steps may differ: channels, or every value once these are flat."""
        return self.shape[1:] if self.flat or len(self.shape) == 2 else (self.shape[1], 1, 1)

    def values(self, integers: NDArray[Any]) -> NDArray[np.float32]:
        """What (n, *grid) integers are read as."""
        factors = self.base.reshape(-1, *(1,) * (len(self.grid) - 1))
        result: NDArray[np.float32] = (integers * factors).astype(np.float32)
        for step in self.steps:
            result = step(result)
        return result


def flat(x: Reading) -> Reading:
    """A picture read as a vector; the integers stay a picture as long as they can."""
    spread = x.shape[2] * x.shape[3]
    scale, offset = (one if one is None or one.size == 1 else np.repeat(one, spread) for one in (x.scale, x.offset))
    steps: tuple[Step, ...] = (*x.steps, lambda values: values.reshape(len(values), -1))
    return replace(x, steps=steps, scale=scale, offset=offset, flat=True)


def narrowest(low: int, high: int) -> Any:
    """The narrowest integer type from ``low`` to ``high``."""
    if low >= 0:
        return DataType[f"UINT{max(high, 1).bit_length()}"] if high > 1 else DataType["BINARY"]
    return DataType[f"INT{max((-low - 1).bit_length(), max(high, 0).bit_length(), 1) + 1}"]


def least(levels: Callable[..., NDArray[np.int64]], wanted: NDArray[Any], x: Reading) -> NDArray[np.int64]:
    """The least integer of ``x`` at which each level is reached, (positions, levels), or one past the highest.

    One row where all are equal.
    """
    shape = (int(np.prod(x.grid)), len(wanted))
    below, reached = np.full(shape, x.low - 1), np.full(shape, x.high + 1)
    while (reached - below > 1).any():
        middle = (below + reached) // 2
        there = wanted <= levels(middle.T.reshape(-1, *x.grid)).T
        open_ = reached - below > 1
        reached, below = np.where(open_ & there, middle, reached), np.where(open_ & ~there, middle, below)
    return reached[:1] if np.array_equal(reached, np.broadcast_to(reached[:1], shape)) else reached
