# SPDX-License-Identifier: Apache-2.0
"""Thresholds: how safely real ones can be rounded, and that rounded ones are what hardware needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD_NODES = ("MultiThreshold", "Thresholding", "Thresholding_rtl")
ROUNDINGS = 2
"""What must be left of a threshold's distance, in roundings of float32 (half a unit in the last place each).

Export keeps the network's sums eight roundings away from its thresholds; computing a threshold from batch norm and
scales, which FINN does in float32 as well, may cost six of them.
"""


@dataclass(frozen=True)
class CloseThreshold:
    """A real threshold so close to an integer that float32 may place it on either side."""

    node: str
    channel: int
    step: int
    value: float
    distance: float


def threshold_margin(model: Any) -> float:
    """Smallest distance of any real-valued threshold from an integer.

    A trained network compares in float32: batch norm and quantiser round a few times on the way from the
    accumulator x to ``x >= t``. In integers the comparison is ``x >= ceil(t)``. The two agree on every image if t
    keeps clear of the integers by more than those rounding errors.

    Thresholds that are exact by construction do not count: multiples of 1/2 shared by all channels (a saturation
    or a sign, whose input is the integer itself). Neither do thresholds outside the range of the input.

    Args:
        model: the graph as ``streamline`` leaves it.

    Returns:
        The distance in units of the accumulator, 0 .. 0.5; infinity where there is no such threshold. Whether it
        suffices depends on the thresholds' size: see ``close_thresholds``.
    """
    return min((float(distance.min()) for _, _, distance in _real_thresholds(model)), default=float("inf"))


def close_thresholds(model: Any) -> list[CloseThreshold]:
    """The thresholds whose distance from an integer is within ROUNDINGS roundings of their own float32 value.

    Where there is one, an image may exist on which hardware and float32 differ by one quantisation step. None does
    not prove that there is no such image: that is for the export, which knows the network's real coefficients.
    """
    found = []
    for name, values, distance in _real_thresholds(model):
        allowance = ROUNDINGS * np.finfo(np.float32).eps / 2 * np.maximum(np.abs(values), 1)
        for channel, step in np.argwhere(distance <= allowance):
            value, gap = float(values[channel, step]), float(distance[channel, step])
            found.append(CloseThreshold(name, int(channel), int(step), value, gap))
    return found


def check_thresholds(model: Any) -> None:
    """Make sure that every threshold is an integer, and that the thresholds of a channel ascend.

    Raises:
        ValueError: naming the node, channel and values that are wrong.
    """
    for node in _threshold_nodes(model):
        values = np.atleast_2d(model.get_initializer(node.input[1]))
        fractions = np.argwhere(values != np.rint(values))
        if len(fractions):
            channel, step = fractions[0]
            raise ValueError(f"{node.name}: threshold {values[channel, step]} of channel {channel} is no integer")
        drops = np.argwhere(np.diff(values, axis=1) < 0)
        if len(drops):
            channel = drops[0][0]
            raise ValueError(f"{node.name}: thresholds of channel {channel} do not ascend: {values[channel]}")


def _threshold_nodes(model: Any) -> list[Any]:
    return [node for node in model.graph.node if node.op_type in THRESHOLD_NODES]


def _real_thresholds(model: Any) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """(node, thresholds, distance from the nearest integer or infinity where it does not matter)."""
    for node in _threshold_nodes(model):
        values = np.atleast_2d(model.get_initializer(node.input[1])).astype(np.float64)
        if _is_exact(values):
            continue
        datatype = model.get_tensor_datatype(node.input[0])
        reachable = (values > datatype.min() - 1) & (values < datatype.max() + 1)
        yield node.name, values, np.where(reachable, np.abs(values - np.rint(values)), np.inf)


def _is_exact(values: NDArray[np.float64]) -> bool:
    """Whether all channels share thresholds that are multiples of 1/2."""
    return bool((values == values[:1]).all() and np.array_equal(2 * values, np.rint(2 * values)))
