# SPDX-License-Identifier: Apache-2.0
"""PReLU in front of a quantiser becomes thresholds: for slopes >= 0 the two are one rising staircase a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from hw.transforms.rewriting import Rewriting, multi_threshold, new_constant, new_tensor, only_consumer, replace

Float32 = NDArray[np.float32]

FAR = 2.0**64
"""Further from zero than any sum of a network; its negative is a threshold that every sum has passed."""


@dataclass(frozen=True)
class Quantiser:
    """clip(round(x / scale), lowest, highest), half to even, in float32."""

    scale: np.float32
    lowest: int
    highest: int

    def levels(self, values: Float32) -> Float32:
        """The integers that ``values`` become."""
        integers: Float32 = np.clip(np.rint(values / self.scale), self.lowest, self.highest)
        return integers


class AbsorbPReluIntoThresholds(Rewriting):
    """Replace ``PRelu -> Quant`` by ``MultiThreshold -> Mul(scale)`` with thresholds of its own for every channel.

    FINN knows no PReLU. Its thresholds of a quantiser round halves up, which matters here: a slope of 1/4 maps whole
    numbers onto halves. So each threshold is the least float32 for which PReLU and rounding half to even, both in
    float32, reach the next integer: no input gives another result than before.
    """

    at = ("PRelu",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Replace such a pair.

        Raises:
            ValueError: a slope is negative, so the staircase would fall.
        """
        quant = only_consumer(model, node.output[0], "Quant")
        quantiser = None if quant is None else _quantiser(model, quant)
        slopes = model.get_initializer(node.input[1])
        if quantiser is None or slopes is None:
            return False
        slopes = slopes.astype(np.float32).ravel()
        if (slopes < 0).any():
            channel = int(np.argmax(slopes < 0))
            raise ValueError(f"{node.name}: slope {slopes[channel]:g} of channel {channel} is negative")
        steps = new_tensor(model, model.get_tensor_shape(node.input[0]))
        levels, datatype = staircase(slopes, quantiser), getCustomOp(quant).get_integer_datatype(model)
        scale = new_constant(model, np.asarray(quantiser.scale))
        thresholds = multi_threshold(model, node.input[0], steps, levels, datatype)
        replace(model, node, thresholds, helper.make_node("Mul", [steps, scale], list(quant.output)))
        model.graph.node.remove(quant)
        return True


def staircase(slopes: Float32, quantiser: Quantiser) -> Float32:
    """The least float32 of every channel at which each integer but the lowest is reached, (channels, steps).

    ``-FAR`` stands for an integer that is reached everywhere: with slope 0 those up to zero.
    """
    wanted = np.arange(quantiser.lowest + 1, quantiser.highest + 1, dtype=np.float32)[None]
    shape = (len(slopes), wanted.shape[1])
    # Bisection over the keys of float32 numbers, which ascend as the numbers do.
    reached = np.full(shape, FAR, np.float32).view(np.int32).astype(np.int64)
    below = lowest = -reached
    while (reached - below > 1).any():
        middle = (below + reached) // 2
        values = _floats(middle)
        there = quantiser.levels(np.where(values < 0, slopes[:, None] * values, values)) >= wanted
        reached, below = np.where(there, middle, reached), np.where(there, below, middle)
    everywhere = below == lowest
    return np.where(everywhere, np.float32(-FAR), _floats(reached))


def _floats(keys: NDArray[np.int64]) -> Float32:
    """The float32 numbers of ``keys``: their bits as an integer, and for negative numbers the negative of it."""
    magnitude = np.abs(keys).astype(np.int32).view(np.float32)
    return np.where(keys < 0, -magnitude, magnitude)


def _quantiser(model: Any, quant: Any) -> Quantiser | None:
    """What a Quant node does, or None where it is not scalar and signed, or has a zero point."""
    scale, zero, bits = (model.get_initializer(name) for name in quant.input[1:4])
    operator = getCustomOp(quant)
    if any(value is None or value.size != 1 for value in (scale, zero, bits)) or zero.item() != 0:
        return None
    if operator.get_nodeattr("rounding_mode") != "ROUND" or not operator.get_nodeattr("signed"):
        return None
    highest = 2 ** (int(bits.item()) - 1) - 1
    return Quantiser(np.float32(scale.item()), -highest - (not operator.get_nodeattr("narrow")), highest)
