# SPDX-License-Identifier: Apache-2.0
"""Keeps the values that a network can compute away from the thresholds of its quantizers.

Between quantizers everything is an exact sum, except the batch norms: their coefficients are real numbers,
and engines round them in different orders. Where a batch norm maps an attainable sum onto a quantizer's
threshold, two engines may then decide differently. Moving the batch norm's bias by a hair takes that away for
every input, so that all engines agree integer for integer.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.networks.blocks import QuantizedNorm
from model.networks.families import Network

Float64 = npt.NDArray[np.float64]

RELATIVE_MARGIN = 2.0**-21
"""Distance from a threshold, relative to the terms of the affine map: 8 roundings of float32.

No engine does more of them; a wider margin leaves no room between the sums of an 8-bit picture.
"""

MAX_TRIES = 400
"""Bias values tried each side of the trained one, a margin apart."""

GAINS = sorted((1 + count * 2.0**-15 for count in range(-32, 33)), key=lambda gain: abs(gain - 1))
"""Factors of the scale that are tried, the nearest to 1 first.

A stem's sums can be so dense that the thresholds, all of which a bias moves alike, leave no gap between them.
"""


@dataclass(frozen=True)
class TieReport:
    """How many channels were moved, by how much a value at a threshold at most, and how many could not be separated."""

    moved: int
    largest_shift: float
    unresolved: int


def quantized_norms(network: Network) -> Iterator[QuantizedNorm]:
    """Yield every batch norm of a hardware network with the grid in front of it and the thresholds after it."""
    if network.formats is None:
        return
    for module in network.modules():
        describe = getattr(module, "quantized_norms", None)
        if describe is not None:
            yield from describe(network.formats)


def separate_ties(network: Network) -> TieReport:
    """Move biases, and where that is not enough scales, of batch norms, in place, off every threshold.

    Afterwards no attainable value lies on a threshold. A shift is around a millionth to a thousandth, far below a
    quantizer's step. Running it again changes nothing; in paper precision there are no thresholds, and nothing to do.
    """
    shifts: list[float] = []
    unresolved = 0
    for described in quantized_norms(network):
        for channel in range(described.norm.num_features):
            shift = _separate(described, channel)
            if shift is None:
                unresolved += 1
            elif shift != 0.0:
                shifts.append(shift)
    return TieReport(len(shifts), max(shifts, default=0.0), unresolved)


def channel_thresholds(described: QuantizedNorm, channel: int) -> Float64:
    """Return the values of the batch norm at which the result changes; PReLU, where there is one, is undone."""
    thresholds = described.thresholds
    if described.slopes is None:
        return thresholds
    slope = _value(described.slopes, channel)
    if slope <= 0:
        return thresholds[thresholds >= 0]
    return np.where(thresholds < 0, thresholds / slope, thresholds)


@dataclass(frozen=True)
class _Channel:
    """value = slope * (sum - mean) + bias of a batch norm, the sums' step and reach, and the thresholds after it."""

    slope: float
    bias: float
    mean: float
    step: float
    reach: float
    thresholds: Float64

    def reachable(self) -> Float64:
        """The thresholds that a sum can be near to; PReLU with a slope of almost 0 has others."""
        furthest = abs(self.slope) * (self.reach + self.step + abs(self.mean)) + abs(self.bias)
        return self.thresholds[np.abs(self.thresholds) <= furthest]

    def clear(self) -> bool:
        """Whether no sum is within the margin of a threshold."""
        slope, bias, mean, thresholds = self.slope, self.bias, self.mean, self.reachable()
        if slope == 0.0:
            values = np.full_like(thresholds, bias)
            terms = abs(bias) + np.abs(thresholds)
        else:
            nearest = np.round(((thresholds - bias) / slope + mean) / self.step) * self.step
            values = slope * (nearest - mean) + bias
            terms = abs(slope) * (np.abs(nearest) + abs(mean)) + abs(bias) + np.abs(thresholds)
        return bool((np.abs(values - thresholds) > RELATIVE_MARGIN * terms).all())

    def margin(self) -> float:
        """The distance between two biases that are tried."""
        largest = float(np.abs(self.reachable()).max(initial=0.0))
        # A sign has its only threshold at zero: where nothing else gives a margin, a step of its input does.
        return RELATIVE_MARGIN * (abs(self.slope * self.mean) + abs(self.bias) + largest or self.step)


def _separate(described: QuantizedNorm, channel: int) -> float | None:
    """Move one channel; return by how much a value at a threshold moved at most, or None if nothing helps."""
    norm = described.norm
    gamma, bias, mean, variance = (
        _value(tensor, channel) for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    reach = math.inf if described.reach is None else _value(described.reach, channel)
    deviation, thresholds = math.sqrt(variance + norm.eps), channel_thresholds(described, channel)
    for gain in GAINS:
        # What is stored is float32, and so is what is judged here.
        scale = float(np.float32(gamma * gain))
        scaled = _Channel(scale / deviation, bias, mean, described.step, reach, thresholds)
        for shift in _shifts(scaled.margin()):
            moved = replace(scaled, bias=float(np.float32(bias) + np.float32(shift)))
            if moved.clear():
                with torch.no_grad():
                    norm.weight[channel], norm.bias[channel] = scale, moved.bias
                change = (gain - 1) * (scaled.reachable() - bias) + (moved.bias - bias)
                return float(np.abs(change).max(initial=0.0))
    return None


def _shifts(margin: float) -> Iterator[float]:
    """Yield 0 and, a margin apart, the values on both sides of it."""
    yield 0.0
    for count in range(1, MAX_TRIES + 1):
        yield from (count * margin, -count * margin)


def _value(tensor: Tensor | None, channel: int) -> float:
    return 0.0 if tensor is None else float(tensor[channel].item())
