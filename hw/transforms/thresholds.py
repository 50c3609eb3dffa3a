# SPDX-License-Identifier: Apache-2.0
"""Thresholds: what hardware needs of them."""

from __future__ import annotations

from typing import Any

import numpy as np

THRESHOLD_NODES = ("MultiThreshold", "Thresholding", "Thresholding_rtl")


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
