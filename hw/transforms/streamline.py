# SPDX-License-Identifier: Apache-2.0
"""From an exported QONNX graph to one whose tensors are all integers, channels last."""

from __future__ import annotations

import copy
from typing import Any

from finn.transformation.fpgadataflow.convert_to_hw.global_acc_pool import InferGlobalAccPoolLayer
from finn.transformation.fpgadataflow.convert_to_hw.pool import InferPool
from finn.transformation.streamline import absorb, reorder
from finn.transformation.streamline.collapse_repeated import CollapseRepeatedAdd, CollapseRepeatedMul
from qonnx.core.datatype import DataType
from qonnx.transformation.bipolar_to_xnor import ConvertBipolarMatMulToXnorPopcount
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
from qonnx.transformation.remove import RemoveIdentityOps
from qonnx.util.cleanup import cleanup_model

from hw.transforms.absorb_signs import AbsorbSignsIntoWeights
from hw.transforms.binary_padding import UseBinaryPadding
from hw.transforms.falling_thresholds import ComplementFallingThresholds
from hw.transforms.fold_padding import FoldPaddingIntoIm2Col
from hw.transforms.integers import integerise
from hw.transforms.max_pool import LiftPaddedMaxPool, MoveAddPastMaxPool
from hw.transforms.passes import InPlaceModel, apply, apply_until_stable, tidy

SCALES_INTO_THRESHOLDS = (
    reorder.MoveScalarLinearPastInvariants,
    reorder.MoveScalarMulPastConv,
    reorder.MoveScalarMulPastMatMul,
    reorder.MoveAddPastMul,
    CollapseRepeatedMul,
    CollapseRepeatedAdd,
    reorder.MoveMulPastFork,
    reorder.MoveLinearPastEltwiseAdd,
    reorder.MoveMulPastJoinConcat,
    reorder.MoveMulPastMaxPool,
    MoveAddPastMaxPool,
    RemoveIdentityOps,
    absorb.AbsorbAddIntoMultiThreshold,
    absorb.FactorOutMulSignMagnitude,
    absorb.AbsorbMulIntoMultiThreshold,
    AbsorbSignsIntoWeights,
)
"""What turns popcounts into sums moves along the graph until thresholds take it up, and so do signs."""

TRANSPOSES_OUT = (
    reorder.MoveTransposePastFork,
    reorder.MoveTransposePastJoinAdd,
    reorder.MoveTransposePastJoinConcat,
    absorb.AbsorbTransposeIntoMultiThreshold,
    absorb.AbsorbConsecutiveTransposes,
)
"""Transposes meet and cancel, but for the one at the input."""


def streamline(model: Any) -> Any:
    """Turn an exported network into integer operations between thresholds.

    The graph's logits are integers, scaled and offset at its end. Thresholds of sums are whole numbers, of popcounts
    also halves; ``convert`` rounds these. Pools and complements are hardware nodes already, because only their
    channels-last form lets the transposes cancel.

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
    model = apply(model, AbsorbSignsIntoWeights(), LiftPaddedMaxPool(), LowerConvsToMatMul(), FoldPaddingIntoIm2Col())
    model = apply(tidy(model), ConvertBipolarMatMulToXnorPopcount(), UseBinaryPadding())
    # Popcounts, not sums, are pooled: their scale and offset move past the pools before these are hardware nodes.
    model = tidy(apply_until_stable(model, SCALES_INTO_THRESHOLDS))
    model = apply(model, ComplementFallingThresholds(), InferGlobalAccPoolLayer(), InferPool(), InferDataLayouts())
    every = (*TRANSPOSES_OUT, *SCALES_INTO_THRESHOLDS, absorb.AbsorbTransposeIntoFlatten)
    return tidy(apply_until_stable(tidy(model), every))
