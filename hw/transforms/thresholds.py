# SPDX-License-Identifier: Apache-2.0
"""Thresholds: real ones are rounded, and rounded ones are what hardware needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from hw.transforms.rewriting import Rewriting

THRESHOLD_NODES = ("MultiThreshold", "Thresholding", "Thresholding_rtl")


class RoundThresholds(Rewriting):
    """Round every threshold of whole numbers up to one: x >= t and x >= ceil(t) are the same.

    Done while x is still the sum of which the export knows that it keeps clear of the thresholds. Popcounts have
    another zero and step, and to move a threshold there in float32 would cost more than that distance.
    """

    at = THRESHOLD_NODES

    def rewrite(self, model: Any, node: Any) -> bool:
        """Round a node's thresholds."""
        values = model.get_initializer(node.input[1])
        if not model.get_tensor_datatype(node.input[0]).is_integer() or np.array_equal(values, np.ceil(values)):
            return False
        model.set_initializer(node.input[1], np.ceil(values))
        return True


def check_thresholds(model: Any) -> None:
    """Make sure that every threshold is an integer, and that the thresholds of a channel ascend.

    Raises:
        ValueError: naming the node, channel and values that are wrong.
    """
    for node in (node for node in model.graph.node if node.op_type in THRESHOLD_NODES):
        values = np.atleast_2d(model.get_initializer(node.input[1]))
        fractions = np.argwhere(values != np.rint(values))
        if len(fractions):
            channel, step = fractions[0]
            raise ValueError(f"{node.name}: threshold {values[channel, step]} of channel {channel} is no integer")
        drops = np.argwhere(np.diff(values, axis=1) < 0)
        if len(drops):
            channel = drops[0][0]
            raise ValueError(f"{node.name}: thresholds of channel {channel} do not ascend: {values[channel]}")
