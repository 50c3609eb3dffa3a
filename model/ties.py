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
from torch import Tensor, nn

from model.layers import Block
from model.networks import ResidualNetwork
from model.quantizers import (
    BRANCH,
    FUSION_WEIGHT,
    HEAD,
    INPUT_SCALE,
    RESIDUAL,
    STEM_WEIGHT,
    IntegerFormat,
)

Norm = nn.BatchNorm1d | nn.BatchNorm2d
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


def quantized_norms(network: ResidualNetwork) -> Iterator[tuple[Norm, float, IntegerFormat]]:
    """Yield every batch norm with the step of its input's grid and the format of the quantizer behind it."""
    fusion = network.fusion
    yield network.bn1, INPUT_SCALE * STEM_WEIGHT.scale, RESIDUAL
    for module in network.modules():
        if isinstance(module, Block):
            yield module.bn1, 1.0, BRANCH
            yield module.bn2, 1.0, BRANCH
    for part in (fusion.primary_conv, fusion.cheap_operation):
        norm = part[1]
        if isinstance(norm, nn.BatchNorm2d):
            yield norm, RESIDUAL.scale * FUSION_WEIGHT.scale, RESIDUAL
    pixels = (network.spec.size // 4) ** 2
    yield network.bn2, RESIDUAL.scale / pixels, HEAD


def separate_ties(network: ResidualNetwork) -> TieReport:
    """Move biases of batch norms, in place, until no attainable value lies on a threshold.

    A shift is around a millionth to a ten-thousandth, far below a quantizer's step. Running it again changes
    nothing.
    """
    shifts: list[float] = []
    unresolved = 0
    for norm, step, fmt in quantized_norms(network):
        for channel in range(norm.num_features):
            shift = _smallest_shift(norm, channel, step, fmt)
            if shift is None:
                unresolved += 1
            elif shift != 0.0:
                with torch.no_grad():
                    norm.bias[channel] += shift
                shifts.append(abs(shift))
    return TieReport(len(shifts), max(shifts, default=0.0), unresolved)


def _smallest_shift(norm: Norm, channel: int, step: float, fmt: IntegerFormat) -> float | None:
    gamma, bias, mean, variance = (
        _value(tensor, channel) for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    slope = gamma / math.sqrt(variance + norm.eps)
    thresholds = fmt.scale * (np.arange(fmt.lo, fmt.hi, dtype=np.float64) + 0.5)
    unit = RELATIVE_MARGIN * (abs(slope * mean) + abs(bias) + float(np.abs(thresholds).max()))
    for count in range(MAX_TRIES + 1):
        for shift in {count * unit, -count * unit}:
            # The stored bias is float32, and so is what is judged here.
            shifted = float(np.float32(bias) + np.float32(shift))
            if _clear(slope, shifted, mean, step, thresholds):
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
