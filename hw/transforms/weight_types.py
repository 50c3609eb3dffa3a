# SPDX-License-Identifier: Apache-2.0
"""The narrowest types of weights and thresholds."""

from __future__ import annotations

from typing import Any

from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth
from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_fpgadataflow_node
from qonnx.core.datatype import DataType


class MinimizeWeightTypes(MinimizeWeightBitWidth):
    """What FINN's MinimizeWeightBitWidth does, and thresholds that are all -1 or 0, where it ends up with BIPOLAR."""

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Narrow every node; the second result is False, one pass is enough."""
        for node in filter(is_fpgadataflow_node, model.graph.node):
            operator = getHWCustomOp(node)
            values = model.get_initializer(node.input[1]) if node.op_type == "Thresholding" else None
            if values is not None and values.min() == -1 and values.max() <= 0:
                operator.set_nodeattr("weightDataType", "INT2")
                model.set_tensor_datatype(node.input[1], DataType["INT2"])
            elif hasattr(operator, "minimize_weight_bit_width"):
                operator.minimize_weight_bit_width(model)
        return model, False
