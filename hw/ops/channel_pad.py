# SPDX-License-Identifier: Apache-2.0
"""Zero channels before and after: the shortcut of a down-sampling block (option A)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from typing_extensions import override

from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp
from hw.ops.operator import Folding


class ChannelPad_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Every pixel widened from NumChannels to OutputChannels: the input from channel Offset on, zeros around.

    FINN has no such operator: its option A is a matrix multiplication by a 0/1 selection matrix.
    """

    generic = ("MVAU",)
    label, role = "channel pad", "move"
    divides = (("PE", "NumChannels"), ("PE", "OutputChannels"), ("PE", "Offset"))

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        return {**super().get_nodeattr_types(), "OutputChannels": ("i", True, 0), "Offset": ("i", True, 0)}

    @override
    def output_channels(self) -> int:
        return self.number("OutputChannels")

    @override
    @classmethod
    def specialise(cls, model: Any, node: NodeProto) -> NodeProto | None:
        product = getHWCustomOp(node)
        weights = model.get_initializer(node.input[1])
        offset = None if weights is None else channel_offset(weights)
        sums = product.get_nodeattr("noActivation") and not product.get_nodeattr("binaryXnorMode")
        if offset is None or not sums or not product.get_input_datatype(0).allowed(0):
            return None
        channels_in, channels_out = weights.shape
        return cls.made_from(
            node,
            NumChannels=channels_in,
            OutputChannels=channels_out,
            Offset=offset,
            # Folded like the product's input, as far as every boundary between zeros and data allows.
            PE=math.gcd(int(product.get_nodeattr("SIMD")), channels_in, channels_out, offset),
            inputDataType=product.get_nodeattr("inputDataType"),
            numInputVectors=list(product.get_nodeattr("numInputVectors")),
        )

    @override
    def check(self) -> None:
        before = self.number("Offset")
        after = self.number("OutputChannels") - self.number("NumChannels") - before
        if before < 0 or after < 0:
            raise self.refuse(f"Offset = {before} leaves no room for NumChannels in OutputChannels")
        if not self.get_input_datatype().allowed(0):
            raise self.refuse(f"{self.text('inputDataType')} has no zero to pad with")

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        first = self.number("Offset")
        padded = np.zeros(self.get_normal_output_shape(), dtype=np.float32)
        padded[..., first : first + self.number("NumChannels")] = context[self.onnx_node.input[0]]
        context[self.onnx_node.output[0]] = padded

    @override
    def cell(self) -> Cell:
        parameters = {
            "PE": self.number("PE"),
            "Width": self.in_bits(),
            "ChIn": self.number("NumChannels"),
            "ChOut": self.number("OutputChannels"),
            "Offset": self.number("Offset"),
        }
        return Cell("channel_pad", parameters)

    @override
    def on_generic(self, folding: Folding) -> Folding:
        return {"PE": folding["PE"], "SIMD": folding["PE"]}

    def cost(self, part: str) -> Cost:
        """The beat counter and the handshake; the data passes through flip-flops with a clear."""
        return Cost(lut=8)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        y = emit.write_plain(node)
        emit.call(node, "clear", [math.prod(node.output_shape(0))], y)
        sizes = map(node.number, ("NumChannels", "OutputChannels", "Offset"))
        emit.call(node, "place", [node.pixels(), *sizes], emit.read_plain(node, 0), y)


def channel_offset(weights: Any) -> int | None:
    """Where (MW, MH) ``weights`` place the unchanged input among zero channels; None if they do otherwise."""
    inputs, outputs = weights.shape
    offset = int(np.argmax(weights[0]))
    fits = offset + inputs <= outputs
    return offset if fits and np.array_equal(weights, np.eye(inputs, outputs, k=offset)) else None
