# SPDX-License-Identifier: Apache-2.0
"""Keeps the values that a network can compute away from the thresholds of its quantizers.

Between quantizers everything is an exact sum, except the batch norms: their coefficients are real numbers,
and engines round them in different orders. Where a batch norm maps an attainable sum onto a quantizer's
threshold, two engines may then decide differently. Moving the batch norm's bias by a hair takes that away for
every input, so that all engines agree integer for integer.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.blocks import QuantizedNorm
from model.networks import Network

Float64 = npt.NDArray[np.float64]

RELATIVE_MARGIN = 2.0**-21
"""Distance from a threshold, relative to the terms of the affine map: 8 roundings of float32.

No engine does more of them; a wider margin leaves no room between the sums of an 8-bit picture.
"""

MAX_TRIES = 400
"""Bias values tried each side of the trained one, a margin apart."""


@dataclass(frozen=True)
class TieReport:
    """How many channels were moved, how far at most, and how many could not be separated."""

    moved: int
    largest_shift: float
    unresolved: int


def quantized_norms(network: Network) -> Iterator[QuantizedNorm]:
    """Yield every batch norm of a hardware network with the grid in front of it and the thresholds behind it."""
    if network.formats is None:
        return
    for module in network.modules():
        describe = getattr(module, "quantized_norms", None)
        if describe is not None:
            yield from describe(network.formats)


def separate_ties(network: Network) -> TieReport:
    """Move biases of batch norms, in place, until no attainable value lies on a threshold.

    A shift is around a millionth to a ten-thousandth, far below a quantizer's step. Running it again changes
    nothing; in paper precision there are no thresholds, and nothing to do.
    """
    shifts: list[float] = []
    unresolved = 0
    for described in quantized_norms(network):
        for channel in range(described.norm.num_features):
            shift = _smallest_shift(described, channel)
            if shift is None:
                unresolved += 1
            elif shift != 0.0:
                with torch.no_grad():
                    described.norm.bias[channel] += shift
                shifts.append(abs(shift))
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


def _smallest_shift(described: QuantizedNorm, channel: int) -> float | None:
    norm = described.norm
    gamma, bias, mean, variance = (
        _value(tensor, channel) for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    slope = gamma / math.sqrt(variance + norm.eps)
    thresholds = channel_thresholds(described, channel)
    unit = RELATIVE_MARGIN * (abs(slope * mean) + abs(bias) + float(np.abs(thresholds).max()))
    # A sign has its only threshold at zero: where nothing else gives a unit, a step of its input does.
    unit = unit or RELATIVE_MARGIN * described.step
    for count in range(MAX_TRIES + 1):
        for shift in {count * unit, -count * unit}:
            # The stored bias is float32, and so is what is judged here.
            shifted = float(np.float32(bias) + np.float32(shift))
            if _clear(slope, shifted, mean, described.step, thresholds):
                return shift
    return None


def _clear(slope: float, bias: float, mean: float, step: float, thresholds: Float64) -> bool:
    if slope == 0.0:
        values = np.full_like(thresholds, bias)
        terms = abs(bias) + np.abs(thresholds)
    else:
        nearest = np.round(((thresholds - bias) / slope + mean) / step) * step
        values = slope * (nearest - mean) + bias
        terms = abs(slope) * (np.abs(nearest) + abs(mean)) + abs(bias) + np.abs(thresholds)
    return bool((np.abs(values - thresholds) > RELATIVE_MARGIN * terms).all())


def _value(tensor: Tensor | None, channel: int) -> float:
    return 0.0 if tensor is None else float(tensor[channel].item())
