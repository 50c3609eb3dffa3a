# SPDX-License-Identifier: Apache-2.0
"""Convolutions of one channel are dense ones."""

from __future__ import annotations

from typing import Any

from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import get_by_name, remove_by_name

from hw.transforms.rewriting import Rewriting


class DenseSingleChannels(Rewriting):
    """Take the mark "depthwise" from convolutions of one channel, which are dense as well.

    qonnx lowers any convolution with as many groups and outputs as inputs as a depthwise one, for which there is no
    RTL. With one channel there is no difference. The mark is at the Im2Col and at the weights of the product after it.
    """

    at = ("Im2Col",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Unmark a window generator of one channel and the products behind it."""
        if model.get_tensor_shape(node.input[0])[-1] == 1:
            getCustomOp(node).set_nodeattr("depthwise", 0)
            for product in model.find_consumers(node.output[0]):
                notes = get_by_name(model.graph.quantization_annotation, product.input[1], "tensor_name")
                if notes is not None:
                    remove_by_name(notes.quant_parameter_tensor_names, "tensor_sparsity", "key")
        return False  # one pass is enough
