# SPDX-License-Identifier: Apache-2.0
"""Channels whose result falls as the sum rises: after a max pool, or where others read the sum too."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from hw.errors import MappingError
from hw.ops.cell_op import GENERIC_DOMAIN
from hw.transforms.rewriting import TO_NCHW, TO_NHWC, Rewriting, new_constant, new_tensor, only_consumer, replace


class ComplementFallingThresholds(Rewriting):
    """Turn ``Mul(-1 or 1 a channel) -> MultiThreshold`` into rising thresholds and a bitwise complement.

    For whole numbers, -x >= t fails where x >= 1 - t; and in two's complement, as for a single bit, the
    complement of the n-th step from below is the n-th from above. FINN's node for it, an exclusive-or with a
    constant, is channels last: the transposes around it wait for others to cancel them.
    """

    at = ("Mul",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Rewrite such a pair.

        Raises:
            MappingError: the steps are not those of a whole integer type.
        """
        signs = model.get_initializer(node.input[1])
        multi = only_consumer(model, node.output[0], "MultiThreshold")
        if signs is None or multi is None or not np.isin(signs, (-1, 1)).all():
            return False
        if not model.get_tensor_datatype(node.input[0]).is_integer():
            return False
        _complement(model, node, multi, signs.ravel() < 0)
        return True


def _complement(model: Any, mul: Any, multi: Any, falling: Any) -> None:
    thresholds = model.get_initializer(multi.input[1])
    datatype = DataType[getCustomOp(multi).get_nodeattr("out_dtype")]
    if datatype.max() - datatype.min() != thresholds.shape[1]:
        raise MappingError(
            multi.doc_string or multi.name,
            f"it falls in some channels, and its {thresholds.shape[1]} thresholds are not all steps of {datatype.name}",
            "let nothing else read what its batch norm reads, or keep the weights of that positive",
        )
    channels = model.get_tensor_shape(multi.input[0])[1]
    falling = np.broadcast_to(falling, channels)
    rising = np.broadcast_to(thresholds, (channels, thresholds.shape[1])).copy()
    rising[falling] = 1 - rising[falling, ::-1]
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
    last_first = helper.make_node("Transpose", [after], list(multi.output), perm=TO_NCHW)
    multi.output[0] = steps
    replace(model, multi, multi, helper.make_node("Transpose", [steps], [before], perm=TO_NHWC), xor, last_first)
    model.graph.node.remove(mul)
