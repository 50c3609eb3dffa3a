# SPDX-License-Identifier: Apache-2.0
"""Padded max pools read unsigned values."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.util.basic import get_by_name

from hw.transforms.rewriting import Rewriting, multi_threshold, new_tensor, replace


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
