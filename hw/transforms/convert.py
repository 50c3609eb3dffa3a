# SPDX-License-Identifier: Apache-2.0
"""From integer operations to FINN's generic hardware nodes, in a partition of their own."""

from __future__ import annotations

import copy
import tempfile
from typing import Any

from finn.transformation.fpgadataflow.convert_to_hw.binary_matrix_vector_activation import (
    InferBinaryMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.convert_to_hw.concat import InferConcatLayer
from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
from finn.transformation.fpgadataflow.convert_to_hw.duplicate_streams import InferDuplicateStreamsLayer
from finn.transformation.fpgadataflow.convert_to_hw.elementwise_binary_operation import InferElementwiseBinaryOperation
from finn.transformation.fpgadataflow.convert_to_hw.label_select import InferLabelSelectLayer
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
from finn.transformation.fpgadataflow.create_dataflow_partition import CreateDataflowPartition
from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
from finn.transformation.move_reshape import RemoveCNVtoFCFlatten
from finn.transformation.streamline.absorb import AbsorbScalarMulAddIntoTopK
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.insert_topk import InsertTopK

from hw.ops.cell_op import GENERIC_DOMAIN
from hw.ops.registry import register
from hw.transforms.fuse_groups import FuseGroupedProducts
from hw.transforms.fuse_joins import FuseResidualJoins
from hw.transforms.fuse_lines import FuseLines
from hw.transforms.fuse_pools import FuseTilePools
from hw.transforms.fuse_products import FuseDspProducts
from hw.transforms.fuse_windows import FuseBinaryWindows
from hw.transforms.passes import apply, tidy
from hw.transforms.rewriting import makes_channels_last
from hw.transforms.single_channel import DenseSingleChannels
from hw.transforms.thresholds import check_thresholds
from hw.transforms.weight_types import MinimizeWeightTypes
from hw.transforms.xnor_accumulator import SizeXnorAccumulators


class ConversionError(ValueError):
    """A node has no hardware counterpart, and it is not one of those that may stay outside."""


def convert(model: Any, label_select: bool = False) -> tuple[Any, Any]:
    """Turn a streamlined graph into hardware nodes.

    Args:
        model: the graph as ``streamline`` leaves it (ModelWrapper); it is left as it is.
        label_select: let the hardware return the index of the largest logit instead of the logits.

    Returns:
        (parent, partition). The parent holds the input's transpose, one StreamingDataflowPartition node and, for
        logits, the scalar Mul. The partition holds FINN's generic hardware nodes, PE and SIMD still as FINN
        infers them: input (1, h, w, c) UINT8, output (1, classes) integers or (1, 1) for a label.

    Raises:
        ConversionError: naming the nodes that would have to stay outside.
        ValueError: rounded thresholds are not integers in ascending order.
    """
    register()
    model = copy.deepcopy(model)
    if label_select:
        _check_label(model)
        model = apply(model, InsertTopK(k=1), AbsorbScalarMulAddIntoTopK())
    model = tidy(apply(model, DenseSingleChannels(), RoundAndClipThresholds()))
    check_thresholds(model)
    model = apply(
        model,
        InferThresholdingLayer(),
        InferBinaryMatrixVectorActivation(),
        InferQuantizedMatrixVectorActivation(),
        InferConvInpGen(),
        InferConcatLayer(),
        InferElementwiseBinaryOperation(_adds_streams),
        InferLabelSelectLayer(),
        RemoveCNVtoFCFlatten(),
    )
    model = _size_datatypes(tidy(model))
    # What is fused has to be known with its types, and forks are those of what is left.
    model = apply(
        model,
        FuseResidualJoins(),
        FuseLines(),
        FuseTilePools(),
        FuseGroupedProducts(),
        FuseBinaryWindows(),
        FuseDspProducts(),
        InferDuplicateStreamsLayer(),
    )
    model = tidy(model)
    check_thresholds(model)
    _check_outside(model, label_select)
    return _partition(model)


def _check_label(model: Any) -> None:
    for node in model.graph.node:
        values = model.get_initializer(node.input[1]) if node.op_type in ("Mul", "Add") else None
        if values is not None and values.size > 1:
            raise ConversionError(
                f"{node.doc_string} has a bias, or a scale for each class, that the host applies; so the hardware does "
                "not know the top-1: build without --label-select, or with bias=False and one scale in the last layer"
            )


def _adds_streams(model: Any, node: Any) -> bool:
    """Whether an operator has two streams: a constant is the scale or the offset of the logits, which stay outside."""
    return all(model.get_initializer(name) is None for name in node.input)


def _size_datatypes(model: Any) -> Any:
    """Narrow weights, accumulators and thresholds to the values that can occur."""
    # Thresholds are clipped to their input's type, which has to come through a pool from the unit that was sized.
    model = apply(model, MinimizeWeightTypes(), MinimizeAccumulatorWidth(), SizeXnorAccumulators(), InferDataTypes())
    return tidy(apply(model, RoundAndClipThresholds(), MinimizeWeightTypes()))


def _check_outside(model: Any, label_select: bool) -> None:
    nodes = list(model.graph.node)
    if makes_channels_last(nodes[0]):
        del nodes[0]
    for op_type in ("Add", "Mul"):  # the offset and the scale of the logits
        if not label_select and nodes[-1].op_type == op_type and model.get_initializer(nodes[-1].input[1]) is not None:
            del nodes[-1]
    strays = [
        f"{node.name} ({node.op_type} of {node.doc_string})"
        for node in nodes
        if not node.domain.startswith(GENERIC_DOMAIN)
    ]
    if strays:
        raise ConversionError(f"no hardware for {', '.join(strays)}")


def _partition(model: Any) -> tuple[Any, Any]:
    # FINN writes the partition to a file and notes its path; the caller decides where things are kept.
    with tempfile.TemporaryDirectory() as directory:
        parent = model.transform(CreateDataflowPartition(directory))
        (node,) = parent.get_nodes_by_op_type("StreamingDataflowPartition")
        partition = tidy(ModelWrapper(getCustomOp(node).get_nodeattr("model")))
    return parent, partition
