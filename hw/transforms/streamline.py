# SPDX-License-Identifier: Apache-2.0
"""From an exported QONNX graph to one whose tensors are all integers, channels last."""

from __future__ import annotations

import copy
from typing import Any

from finn.transformation.fpgadataflow.convert_to_hw.pool import InferPool
from finn.transformation.streamline import absorb, reorder
from qonnx.core.datatype import DataType
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
from qonnx.util.cleanup import cleanup_model

from hw.transforms.falling_thresholds import ComplementFallingThresholds
from hw.transforms.fold_padding import FoldPaddingIntoIm2Col
from hw.transforms.integers import integerise
from hw.transforms.max_pool import LiftPaddedMaxPool
from hw.transforms.passes import InPlaceModel, apply, apply_until_stable, tidy
from hw.transforms.rewriting import Rewriting

TRANSPOSES_OUT = (
    reorder.MoveTransposePastFork,
    reorder.MoveTransposePastJoinAdd,
    reorder.MoveTransposePastJoinConcat,
    absorb.AbsorbTransposeIntoMultiThreshold,
    absorb.AbsorbConsecutiveTransposes,
    absorb.AbsorbTransposeIntoFlatten,
)
"""Transposes meet and cancel, but for the one at the input."""


class CountAgreements(Rewriting):
    """Let products with weights of one bit count the bits that agree: what ``integerise`` means by them."""

    at = ("MatMul",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Rename a product."""
        if model.get_tensor_datatype(node.input[1]) == DataType["BINARY"]:
            node.op_type, node.domain = "XnorPopcountMatMul", "qonnx.custom_op.general"
        return False


def streamline(model: Any) -> Any:
    """Turn an exported network into integer operations between thresholds.

    The graph's logits are integers, scaled and offset at its end, and all thresholds are. Pools and complements are
    hardware nodes already, because only their channels-last form lets the transposes cancel.

    Args:
        model: QONNX graph (ModelWrapper) whose input takes integers, of UINT8 unless it says otherwise; it is left as
            it is.

    Returns:
        A new ModelWrapper.

    Raises:
        MappingError: naming a layer that has no exact integer form.
    """
    model = cleanup_model(InPlaceModel(copy.deepcopy(model.model)))
    if model.get_tensor_datatype(model.graph.input[0].name) == DataType["FLOAT32"]:
        model.set_tensor_datatype(model.graph.input[0].name, DataType["UINT8"])
    model = tidy(integerise(model))
    model = apply(model, LiftPaddedMaxPool(), LowerConvsToMatMul(), CountAgreements(), FoldPaddingIntoIm2Col())
    model = apply(tidy(model), ComplementFallingThresholds(), InferPool(), InferDataLayouts())
    return tidy(apply_until_stable(tidy(model), TRANSPOSES_OUT))
