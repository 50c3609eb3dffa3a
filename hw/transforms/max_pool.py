# SPDX-License-Identifier: Apache-2.0
"""Max pooling: what commutes with it moves after it, and padded pools read unsigned values."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name

from hw.transforms.building import multi_threshold, new_tensor


class MoveAddPastMaxPool(Transformation):
    """Turn ``Add(constant) -> MaxPool`` into ``MaxPool -> Add``, where the constant is the same for a whole channel."""

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Move one Add; the second result says whether there was one."""
        for add in model.get_nodes_by_op_type("Add"):
            pool = _only_consumer(model, add.output[0])
            constant = model.get_initializer(add.input[1])
            if pool is None or pool.op_type != "MaxPool" or constant is None or not _one_a_channel(constant):
                continue
            source, middle, sink = add.input[0], add.output[0], pool.output[0]
            pool.input[0], pool.output[0] = source, middle
            add.input[0], add.output[0] = middle, sink
            model.set_tensor_shape(middle, model.get_tensor_shape(sink))
            model.graph.node.remove(add)
            model.graph.node.insert(list(model.graph.node).index(pool) + 1, add)
            return model, True
        return model, False


class LiftPaddedMaxPool(Transformation):
    """Let padded max pools of signed integers read unsigned ones: v - lowest in front, and back again after it.

    A max pool pads with the lowest value, hardware with zero. Both steps are staircases, so they are thresholds:
    ``MultiThreshold -> MaxPool -> MultiThreshold``.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Lift every such pool; the second result says whether there was one."""
        changed = False
        for pool in list(model.get_nodes_by_op_type("MaxPool")):
            datatype = model.get_tensor_datatype(pool.input[0])
            if datatype.is_integer() and datatype.signed() and any(get_by_name(pool.attribute, "pads").ints):
                _lift(model, pool, datatype)
                changed = True
        return model, changed


def _lift(model: Any, pool: Any, datatype: Any) -> None:
    lowest, highest = int(datatype.min()), int(datatype.max())
    unsigned = DataType.get_smallest_possible(highest - lowest)
    steps = np.arange(lowest + 1, highest + 1, dtype=np.float32)[None]
    source, sink = pool.input[0], pool.output[0]
    lifted, pooled = (new_tensor(model, model.get_tensor_shape(name), unsigned) for name in (source, sink))
    place = list(model.graph.node).index(pool)
    model.graph.node.insert(place, multi_threshold(model, source, lifted, steps, unsigned))
    model.graph.node.insert(place + 2, multi_threshold(model, pooled, sink, steps - lowest, datatype))
    pool.input[0], pool.output[0] = lifted, pooled


def _only_consumer(model: Any, tensor: str) -> Any:
    consumers = model.find_consumers(tensor)
    return consumers[0] if len(consumers) == 1 else None


def _one_a_channel(constant: Any) -> bool:
    """Whether a constant for (batch, channels, height, width) does not change over a picture."""
    return all(extent == 1 for index, extent in enumerate(constant.shape[::-1]) if index != 2)
