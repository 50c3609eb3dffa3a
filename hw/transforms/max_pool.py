# SPDX-License-Identifier: Apache-2.0
"""Max pooling: what commutes with it moves after it, and padded pools read unsigned values."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.util.basic import get_by_name

from hw.transforms.rewriting import Rewriting, multi_threshold, new_tensor, only_consumer, replace


class MoveAddPastMaxPool(Rewriting):
    """Turn ``Add(constant) -> MaxPool`` into ``MaxPool -> Add``, where the constant is the same for a whole channel."""

    at = ("Add",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Move an Add."""
        pool = only_consumer(model, node.output[0], "MaxPool")
        constant = model.get_initializer(node.input[1])
        if pool is None or constant is None or not _one_a_channel(constant):
            return False
        source, middle, sink = node.input[0], node.output[0], pool.output[0]
        model.graph.node.remove(node)
        pool.input[0], pool.output[0] = source, middle
        node.input[0], node.output[0] = middle, sink
        model.set_tensor_shape(middle, model.get_tensor_shape(sink))
        replace(model, pool, pool, node)
        return True


class LiftPaddedMaxPool(Rewriting):
    """Let padded max pools of signed integers read unsigned ones: v - lowest in front, and back again after it.

    A max pool pads with the lowest value, hardware with zero. Both steps are staircases, so they are thresholds:
    ``MultiThreshold -> MaxPool -> MultiThreshold``.
    """

    at = ("MaxPool",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Lift a pool."""
        datatype = model.get_tensor_datatype(node.input[0])
        if not (datatype.is_integer() and datatype.signed() and any(get_by_name(node.attribute, "pads").ints)):
            return False
        lowest, highest = int(datatype.min()), int(datatype.max())
        unsigned = DataType.get_smallest_possible(highest - lowest)
        steps = np.arange(lowest + 1, highest + 1, dtype=np.float32)[None]
        source, sink = node.input[0], node.output[0]
        lifted, pooled = (new_tensor(model, model.get_tensor_shape(name), unsigned) for name in (source, sink))
        lift = multi_threshold(model, source, lifted, steps, unsigned)
        lower = multi_threshold(model, pooled, sink, steps - lowest, datatype)
        node.input[0], node.output[0] = lifted, pooled
        replace(model, node, lift, node, lower)
        return True


def _one_a_channel(constant: Any) -> bool:
    """Whether a constant for (batch, channels, height, width) does not change over a picture."""
    return all(extent == 1 for index, extent in enumerate(constant.shape[::-1]) if index != 2)
