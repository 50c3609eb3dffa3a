# SPDX-License-Identifier: Apache-2.0
"""From FINN's abstract nodes to RTL nodes: this project's operators first, FINN's own for the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from finn.util.basic import getHWCustomOp
from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveUniqueNodeNames, RemoveUnusedTensors, SortGraph
from qonnx.transformation.infer_datatypes import InferDataTypes

from hw.ops.cell_op import CellOp
from hw.ops.errors import UnsupportedNodeError
from hw.ops.registry import register
from hw.ops.width_converter import whole_factor
from hw.transforms.passes import apply

GENERIC_DOMAIN = "finn.custom_op.fpgadataflow"
RTL_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
SAME_ATTRIBUTES = {
    "DuplicateStreams": "DuplicateStreams_rtl",
    "ElementwiseAdd": "StreamAdd_rtl",
    "GlobalAccPool": "GlobalAccPool_rtl",
    "LabelSelect": "LabelSelect_rtl",
    "Pool": "Pool_rtl",
    "StreamingConcat": "StreamingConcat_rtl",
}
"""Generic nodes whose operator here takes the same attributes."""


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
    register()
    model = ModelWrapper(model.model, make_deepcopy=True)
    model = apply(model, SpecialiseOwn(), RoundAndClipThresholds(), PreferRtlProducts())
    # SpecializeLayers counts only the nodes that it replaces, and so puts them among the others out of order.
    model = apply(model, SpecializeLayers(part), SortGraph(), GiveUniqueNodeNames())
    _check_all_rtl(model)
    return model


class SpecialiseOwn(Transformation):
    """Turn the abstract nodes that FINN has no RTL for into this project's operators.

    A matrix product becomes an ``XnorMVAU_rtl`` when it is binary, and a ``ChannelPad_rtl`` when its weights
    only place the input among zero channels; an exclusive-or with a constant becomes a ``ChannelComplement_rtl``, a
    width converter ours where one width is a multiple of the other. Other products and specialised nodes are left
    alone.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Replace every node that has an operator here; the second result is False, one pass is enough."""
        register()
        replaced = False
        for index, node in enumerate(list(model.graph.node)):
            own = _own_node(model, node) if node.domain == GENERIC_DOMAIN else None
            if own is not None:
                del model.graph.node[index]
                model.graph.node.insert(index, own)
                replaced = True
        if replaced:
            # Own operators may be narrower than what they replace: tell their successors.
            model = apply(model, RemoveUnusedTensors(), InferDataTypes())
        for node in model.graph.node:
            if is_rtl_node(node):
                _check_own(model, node)
        return model, False


class PreferRtlProducts(Transformation):
    """Make the remaining matrix products acceptable to FINN's RTL unit, whatever their width.

    The unit of 7-series devices needs signed weights that do not use the most negative value; trained weights
    may have been given a tighter type, e.g. -4..3 an INT3. Its sums must have room for any product of the two types,
    also where the actual weights are smaller. Below 4 bits FINN prefers HLS by default.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Widen the types of weights and sums where needed; the second result is False, one pass is enough."""
        widened = False
        for node in model.graph.node:
            if node.domain != GENERIC_DOMAIN or node.op_type != "MVAU":
                continue
            product = getHWCustomOp(node)
            product.set_nodeattr("preferred_impl_style", "rtl")
            weights = model.get_initializer(node.input[1])
            if weights is None:
                continue
            datatype = DataType[str(product.get_nodeattr("weightDataType"))]
            if not datatype.signed() or weights.min() <= datatype.min():
                largest = int(np.abs(weights).max())
                datatype = DataType.get_smallest_possible(-max(largest, 1) - 1)
                product.set_nodeattr("weightDataType", datatype.name)
                model.set_tensor_datatype(node.input[1], datatype)
            widened |= _widen_sums(model, node, product)
        return (apply(model, InferDataTypes()) if widened else model), False


def _widen_sums(model: Any, node: NodeProto, product: Any) -> bool:
    """Give the sums as many bits as one product of the types may have; whether they had too few."""
    taken, sums = product.get_input_datatype(0), DataType[str(product.get_nodeattr("accDataType"))]
    bits = int(product.get_input_datatype(1).bitwidth() + taken.bitwidth()) - bool(taken.signed())
    if not product.get_nodeattr("noActivation") or sums.bitwidth() >= bits:
        return False
    wider = DataType[f"{'INT' if sums.signed() else 'UINT'}{bits}"]
    product.set_nodeattr("accDataType", wider.name)
    product.set_nodeattr("outputDataType", wider.name)
    model.set_tensor_datatype(node.output[0], wider)
    return True


def channel_offset(weights: Any) -> int | None:
    """Where (MW, MH) ``weights`` place the unchanged input among zero channels; None if they do otherwise."""
    inputs, outputs = weights.shape
    offset = int(np.argmax(weights[0]))
    fits = offset + inputs <= outputs
    return offset if fits and np.array_equal(weights, np.eye(inputs, outputs, k=offset)) else None


def _own_node(model: Any, node: NodeProto) -> NodeProto | None:
    if node.op_type in SAME_ATTRIBUTES:
        return _renamed(node, SAME_ATTRIBUTES[node.op_type])
    if node.op_type == "StreamingDataWidthConverter":
        converter = getHWCustomOp(node)
        widths = (int(converter.get_nodeattr(name)) for name in ("inWidth", "outWidth"))
        return _renamed(node, "WidthConverter_rtl") if whole_factor(*widths) else None
    if node.op_type in ("ElementwiseXor", "ElementwiseBitwiseXor"):
        return _channel_complement(model, node)
    return _own_product(model, node) if node.op_type == "MVAU" else None


def _own_product(model: Any, node: NodeProto) -> NodeProto | None:
    product = getHWCustomOp(node)
    if product.get_nodeattr("binaryXnorMode"):
        return _renamed(node, "XnorMVAU_rtl", without=("mem_mode",))
    weights = model.get_initializer(node.input[1])
    if weights is None or not product.get_nodeattr("noActivation") or not product.get_input_datatype(0).allowed(0):
        return None
    offset = channel_offset(weights)
    return None if offset is None else _channel_pad(node, product, offset)


def _renamed(node: NodeProto, op_type: str, without: tuple[str, ...] = ()) -> NodeProto:
    own = NodeProto()
    own.CopyFrom(node)
    own.op_type, own.domain = op_type, RTL_DOMAIN
    del own.attribute[:]
    own.attribute.extend(a for a in node.attribute if a.name not in ("preferred_impl_style", *without))
    return own


def _channel_pad(node: NodeProto, product: Any, offset: int) -> NodeProto:
    channels_in, channels_out = int(product.get_nodeattr("MW")), int(product.get_nodeattr("MH"))
    return helper.make_node(
        "ChannelPad_rtl",
        node.input[:1],
        node.output,
        name=node.name,
        domain=RTL_DOMAIN,
        backend="fpgadataflow",
        NumChannels=channels_in,
        OutputChannels=channels_out,
        Offset=offset,
        # Folded like the product's input, as far as every boundary between zeros and data allows.
        PE=math.gcd(int(product.get_nodeattr("SIMD")), channels_in, channels_out, offset),
        inputDataType=product.get_nodeattr("inputDataType"),
        numInputVectors=list(product.get_nodeattr("numInputVectors")),
        inFIFODepths=list(product.get_nodeattr("inFIFODepths")),
        outFIFODepths=list(product.get_nodeattr("outFIFODepths")),
    )


def _channel_complement(model: Any, node: NodeProto) -> NodeProto:
    """The complement that an exclusive-or with a constant is; raises UnsupportedNodeError where it is none."""
    xor = getHWCustomOp(node)
    mask = model.get_initializer(node.input[1])
    datatype = xor.get_output_datatype()
    every_bit = -1 if datatype.signed() else int(datatype.max())
    channelwise = mask is not None and mask.ndim == 1 and xor.get_input_datatype(0) == datatype
    if not channelwise or not np.isin(mask, (0, every_bit)).all():
        raise UnsupportedNodeError(node.name, "an exclusive-or can only complement whole channels")
    return helper.make_node(
        "ChannelComplement_rtl",
        node.input[:1],
        node.output,
        name=node.name,
        domain=RTL_DOMAIN,
        backend="fpgadataflow",
        NumChannels=len(mask),
        Mask=[int(value != 0) for value in mask],
        PE=xor.get_nodeattr("PE"),
        inputDataType=datatype.name,
        numInputVectors=list(xor.get_nodeattr("lhs_shape"))[:-1],
        inFIFODepths=list(xor.get_nodeattr("inFIFODepths"))[:1],
        outFIFODepths=list(xor.get_nodeattr("outFIFODepths")),
    )


def _check_own(model: Any, node: NodeProto) -> None:
    operator = getHWCustomOp(node)
    if not isinstance(operator, CellOp):
        return
    constants = [name for name in node.input if model.get_initializer(name) is not None]
    if constants and node.op_type != "XnorMVAU_rtl":
        raise UnsupportedNodeError(node.name, f"{node.op_type} has a constant input, {constants[0]}")
    operator.check()


def _check_all_rtl(model: Any) -> None:
    others = [f"{n.name} ({n.op_type}, output {n.output[0]})" for n in model.graph.node if not is_rtl_node(n)]
    if others:
        raise UnsupportedNodeError(", ".join(others), "no RTL implementation")
