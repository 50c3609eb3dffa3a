# SPDX-License-Identifier: Apache-2.0
"""From FINN's abstract nodes to RTL nodes: this project's operators first, FINN's own for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveUniqueNodeNames, RemoveUnusedTensors, SortGraph
from qonnx.transformation.infer_datatypes import InferDataTypes

from hw.errors import UnsupportedNodeError
from hw.ops.cell_op import GENERIC_DOMAIN, CellOp
from hw.ops.registry import own_operators, register
from hw.ops.xnor_mvau import set_sums
from hw.transforms.passes import apply
from hw.transforms.rewriting import Rewriting


def specialise(model: ModelWrapper, part: str) -> ModelWrapper:
    """Replace every abstract node by an RTL node for ``part``.

    Args:
        model: graph of FINN's abstract hardware nodes; it is not changed.
        part: FPGA part, e.g. xc7z020clg400-1.

    Returns:
        A graph of RTL nodes only, sorted, with unique node names.

    Raises:
        UnsupportedNodeError: naming the nodes that have no RTL, or one that asks for what its cell cannot do.
    """
    model = ModelWrapper(model.model, make_deepcopy=True)
    model = apply(model, SpecialiseOwn(), RoundAndClipThresholds(), PreferRtlProducts(), InferDataTypes())
    # SpecializeLayers counts only the nodes that it replaces, and so puts them among the others out of order.
    model = apply(model, SpecializeLayers(part), SortGraph(), GiveUniqueNodeNames())
    _check_all_rtl(model)
    return model


class SpecialiseOwn(Transformation):
    """Turn the abstract nodes that FINN has no RTL for into this project's operators.

    Each says in its file of ``hw/ops`` which nodes it takes; nodes that none takes, and specialised ones, are left
    alone.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Replace every node that has an operator here; the second result is False, one pass is enough."""
        register()
        for node in model.graph.node:
            own = _own_node(model, node) if node.domain == GENERIC_DOMAIN else None
            if own is not None:
                node.CopyFrom(own)
        # Own operators may be narrower than what they replace: tell their successors.
        model = apply(model, RemoveUnusedTensors(), InferDataTypes())
        for node in filter(is_rtl_node, model.graph.node):
            _check_own(model, node)
        return model, False


class PreferRtlProducts(Rewriting):
    """Make the remaining matrix products acceptable to FINN's RTL unit, whatever their width.

    The unit of 7-series devices needs signed weights that do not use the most negative value; trained weights
    may have been given a tighter type, e.g. -4..3 an INT3. Its sums must have room for any product of the two types,
    also where the actual weights are smaller. Below 4 bits FINN prefers HLS by default.
    """

    at = ("MVAU",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Widen the types of a product's weights and sums where needed."""
        product = getHWCustomOp(node)
        product.set_nodeattr("preferred_impl_style", "rtl")
        weights = model.get_initializer(node.input[1])
        if weights is None:
            return False
        datatype = DataType[str(product.get_nodeattr("weightDataType"))]
        if not datatype.signed() or weights.min() <= datatype.min():
            largest = int(np.abs(weights).max())
            datatype = DataType.get_smallest_possible(-max(largest, 1) - 1)
            product.set_nodeattr("weightDataType", datatype.name)
            model.set_tensor_datatype(node.input[1], datatype)
        taken, sums = product.get_input_datatype(0), DataType[str(product.get_nodeattr("accDataType"))]
        bits = int(datatype.bitwidth() + taken.bitwidth()) - bool(taken.signed())
        if product.get_nodeattr("noActivation") and sums.bitwidth() < bits:
            set_sums(model, product, DataType[f"{'INT' if sums.signed() else 'UINT'}{bits}"])
        return False  # one pass is enough


def _own_node(model: Any, node: NodeProto) -> NodeProto | None:
    """The node of the first own operator that fits."""
    candidates = (own.specialise(model, node) for own in own_operators() if node.op_type in own.generic)
    return next((own for own in candidates if own is not None), None)


def _check_own(model: Any, node: NodeProto) -> None:
    operator = getHWCustomOp(node)
    if not isinstance(operator, CellOp):
        return
    constants = [name for name in node.input if model.get_initializer(name) is not None]
    if constants and not operator.constant:
        raise UnsupportedNodeError(node.name, f"{node.op_type} has a constant input, {constants[0]}")
    operator.validate()


def _check_all_rtl(model: Any) -> None:
    others = [f"{n.name} ({n.op_type}, output {n.output[0]})" for n in model.graph.node if not is_rtl_node(n)]
    if others:
        raise UnsupportedNodeError(", ".join(others), "no RTL implementation")
