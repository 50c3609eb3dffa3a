# SPDX-License-Identifier: Apache-2.0
"""Signs after a product become signs of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from hw.transforms.rewriting import Rewriting, only_consumer


class AbsorbSignsIntoWeights(Rewriting):
    """Multiply the weights of a Conv or MatMul by the 1-bit factors, one a channel or one at all, that follow it.

    Only where the weights' type allows it. FINN's own two ask the datatype about every weight, in Python: minutes for
    a network of full width. Here they ask about every different value.
    """

    at = ("Conv", "MatMul")

    def rewrite(self, model: Any, node: Any) -> bool:
        """Absorb the signs behind a product."""
        mul = only_consumer(model, node.output[0], "Mul")
        weights = model.get_initializer(node.input[1])
        signs = model.get_initializer(mul.input[1]) if mul is not None else None
        if weights is None or signs is None or model.get_tensor_datatype(mul.input[1]).bitwidth() != 1:
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
