# SPDX-License-Identifier: Apache-2.0
"""Signs after a product become signs of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from qonnx.transformation.base import Transformation


class AbsorbSignsIntoWeights(Transformation):
    """Multiply the weights of a Conv or MatMul by the 1-bit factors, one a channel or one at all, that follow it.

    FINN's own two ask the datatype about every weight, in Python: minutes for a network of full width. Here they
    ask about every different value.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Absorb all that the weights' types allow; the second result says whether there were any."""
        changed = False
        for node in list(model.graph.node):
            if node.op_type in ("Conv", "MatMul"):
                changed |= _absorb(model, node)
        return model, changed


def _absorb(model: Any, node: Any) -> bool:
    consumers = model.find_consumers(node.output[0])
    weights = model.get_initializer(node.input[1])
    if weights is None or len(consumers) != 1 or consumers[0].op_type != "Mul":
        return False
    (mul,) = consumers
    signs = model.get_initializer(mul.input[1])
    if signs is None or model.get_tensor_datatype(mul.input[1]).bitwidth() != 1:
        return False
    if signs.size != max(signs.shape, default=1):
        return False
    product = signs.reshape(-1, 1, 1, 1) * weights if node.op_type == "Conv" else signs.reshape(-1) * weights
    datatype = model.get_tensor_datatype(node.input[1])
    if product.shape != weights.shape or not all(datatype.allowed(value) for value in np.unique(product)):
        return False
    model.set_initializer(node.input[1], product)
    node.output[0] = mul.output[0]
    model.graph.node.remove(mul)
    return True
