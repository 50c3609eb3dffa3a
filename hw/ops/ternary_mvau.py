# SPDX-License-Identifier: Apache-2.0
"""Matrix-vector product of activations of two bits, -1, 0 and +1, with weights of one bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.matrixvectoractivation import MVAU
from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.finn import mvau
from hw.ops.xnor_mvau import XnorMVAU_rtl

KEEPS_RANGE = ("BinaryWindow", "ConvolutionInputGenerator", "DuplicateStreams", "FMPadding")
"""Types of nodes that hand on what they take, and zeros at most; so do pools that take the maximum."""


class TernaryMVAU_rtl(XnorMVAU_rtl):  # noqa: N801  FINN's naming
    """Dot product of a vector of -1, 0, +1 with each of MH vectors of -1 and +1.

    Input 0 is (..., MW) INT2 without -2, input 1 is (MW, MH). An element is half the sum of two bipolar ones, so that
    this is XNOR and popcount of twice as many positions; a weight takes one bit of ROM, where FINN's unit stores two,
    and no DSP block.
    """

    label, role = "ternary mvu", "compute"
    positions = 2

    @override
    @classmethod
    def fits(cls, model: Any, node: NodeProto) -> bool:
        product, weights = getHWCustomOp(node), model.get_initializer(node.input[1])
        plain = product.get_nodeattr("noActivation") and not product.get_nodeattr("binaryXnorMode")
        return bool(plain and weights is not None and np.isin(weights, (-1, 1)).all() and ternary(model, node.input[0]))

    @override
    def check(self) -> None:
        if self.number("binaryXnorMode") or not self.number("noActivation"):
            raise self.refuse("is no plain product; binaryXnorMode must be 0, noActivation 1")
        if self.text("inputDataType") not in {"INT2", "TERNARY"}:
            raise self.refuse(f"inputDataType is {self.text('inputDataType')}; it must be INT2")
        if not self.get_output_datatype().signed():
            raise self.refuse(f"outputDataType is {self.text('outputDataType')}; it must be signed")

    def minimize_accumulator_width(self, model: Any, datatype_only: bool = False) -> BaseDataType:
        """As FINN has it for any product."""
        datatype: BaseDataType = MVAU.minimize_accumulator_width(self, model, datatype_only)
        return datatype

    def infer_node_datatype(self, model: Any) -> None:
        """As FINN has it for any product."""
        MVAU.infer_node_datatype(self, model)

    @override
    def in_luts(self) -> bool:
        return False

    @override
    def as_bits(self, weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not np.isin(weights, (-1, 1)).all():
            raise self.refuse("has weights other than -1 and +1")
        return weights > 0

    @override
    def cell(self) -> Cell:
        cell = super().cell()
        return dataclasses.replace(cell, parameters={**cell.parameters, "Ternary": 1})

    @override
    def cost(self, part: str) -> Cost:
        """The same, a gate for each element, and a subtraction for each neuron."""
        return super().cost(part) + Cost(lut=self.number("SIMD") + self.number("PE") * self.number("MW").bit_length())

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        mvau.MVAU.kernel(node, emit)


def ternary(model: Any, name: str) -> bool:
    """Whether a tensor has no other values than -1, 0 and +1: where nothing says so, its type has -2 as well."""
    if model.get_tensor_datatype(name).name == "TERNARY":
        return True
    node = model.find_producer(name)
    if node is None:
        return False
    if node.op_type.startswith("Thresholding"):
        op = getHWCustomOp(node)
        return bool(op.get_nodeattr("ActVal") == -1 and op.get_nodeattr("numSteps") <= 2)
    if node.op_type.startswith(("Pool", "TilePool")):
        return getHWCustomOp(node).get_nodeattr("Function") == "MaxPool" and ternary(model, node.input[0])
    return node.op_type.startswith(KEEPS_RANGE) and ternary(model, node.input[0])
