# SPDX-License-Identifier: Apache-2.0
"""Convolutions of one channel are dense ones."""

from __future__ import annotations

from typing import Any

from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name


class DenseSingleChannels(Transformation):
    """Take the mark "depthwise" from convolutions of one channel, which are dense as well.

    qonnx lowers any convolution with as many groups and outputs as inputs as a depthwise one, for which there is no
    RTL. With one channel there is no difference.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Unmark every such Im2Col and the product after it; the second result is False, one pass is enough."""
        for node in model.graph.node:
            if node.op_type != "Im2Col" or model.get_tensor_shape(node.input[0])[-1] != 1:
                continue
            getCustomOp(node).set_nodeattr("depthwise", 0)
            for product in model.find_consumers(node.output[0]):
                _forget_sparsity(model, product.input[1])
        return model, False


def _forget_sparsity(model: Any, tensor: str) -> None:
    notes = get_by_name(model.graph.quantization_annotation, tensor, "tensor_name")
    for entry in list(notes.quant_parameter_tensor_names) if notes is not None else []:
        if entry.key == "tensor_sparsity":
            notes.quant_parameter_tensor_names.remove(entry)
