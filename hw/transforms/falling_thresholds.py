# SPDX-License-Identifier: Apache-2.0
"""Channels whose result falls as the sum rises: after a max pool, where the weights cannot take the sign."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from hw.ops.cell_op import GENERIC_DOMAIN
from hw.transforms.building import new_constant, new_tensor

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


class ComplementFallingThresholds(Transformation):
    """Turn ``Mul(-1 or 1 a channel) -> MultiThreshold`` into rising thresholds and a bitwise complement.

    For whole numbers x, -x >= t fails where x >= 1 - ceil(t); and in two's complement, as for a single bit, the
    complement of the n-th step from below is the n-th from above. FINN's node for it, an exclusive-or with a
    constant, is channels last: the transposes around it wait for others to cancel them.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Rewrite every such pair; the second result says whether there was one.

        Raises:
            ValueError: the steps are not those of a whole integer type.
        """
        changed = False
        for mul in list(model.get_nodes_by_op_type("Mul")):
            signs = model.get_initializer(mul.input[1])
            consumers = model.find_consumers(mul.output[0])
            if signs is None or len(consumers) != 1 or consumers[0].op_type != "MultiThreshold":
                continue
            if np.isin(signs, (-1, 1)).all() and model.get_tensor_datatype(mul.input[0]).is_integer():
                _complement(model, mul, consumers[0], signs.ravel() < 0)
                changed = True
        return model, changed


def _complement(model: Any, mul: Any, multi: Any, falling: Any) -> None:
    thresholds = model.get_initializer(multi.input[1])
    datatype = DataType[getCustomOp(multi).get_nodeattr("out_dtype")]
    if datatype.max() - datatype.min() != thresholds.shape[1]:
        raise ValueError(f"{multi.name}: {thresholds.shape[1]} thresholds are not all steps of {datatype.name}")
    channels = model.get_tensor_shape(multi.input[0])[1]
    falling = np.broadcast_to(falling, channels)
    rising = np.broadcast_to(thresholds, (channels, thresholds.shape[1])).copy()
    rising[falling] = 1 - np.ceil(rising[falling, ::-1])
    model.set_initializer(multi.input[1], rising)
    multi.input[0] = mul.input[0]
    batch, _, height, width = shape = model.get_tensor_shape(multi.output[0])
    last = [batch, height, width, channels]
    steps, before, after = (new_tensor(model, row, datatype) for row in (shape, last, last))
    bit = datatype == DataType["BINARY"]
    # FINN's node for bits keeps them BINARY, that for integers would make them UINT1.
    operator, mask_type = ("ElementwiseXor", datatype) if bit else ("ElementwiseBitwiseXor", DataType["INT2"])
    mask = new_constant(model, np.where(falling, 1 if bit else -1, 0).astype(np.float32), mask_type)
    xor = helper.make_node(
        operator,
        [before, mask],
        [after],
        domain=GENERIC_DOMAIN,
        backend="fpgadataflow",
        lhs_shape=last,
        rhs_shape=[channels],
        out_shape=last,
        lhs_dtype=datatype.name,
        rhs_dtype=mask_type.name,
        out_dtype=datatype.name,
        rhs_style="const",
    )
    sink, multi.output[0] = multi.output[0], steps
    place = list(model.graph.node).index(multi) + 1
    model.graph.node.insert(place, helper.make_node("Transpose", [steps], [before], perm=TO_NHWC))
    model.graph.node.insert(place + 1, xor)
    model.graph.node.insert(place + 2, helper.make_node("Transpose", [after], [sink], perm=TO_NCHW))
    model.graph.node.remove(mul)
