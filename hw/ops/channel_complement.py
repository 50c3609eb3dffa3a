# SPDX-License-Identifier: Apache-2.0
"""The bitwise complement of some channels: what turns rising thresholds into falling ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from finn.util.basic import getHWCustomOp
from onnx import NodeProto
from typing_extensions import override

from hw.errors import UnsupportedNodeError
from hw.ops.cell_op import Cell, Cost, Emitter, Node
from hw.ops.channel_op import ChannelOp


class ChannelComplement_rtl(ChannelOp):  # noqa: N801  FINN's naming
    """Every element of the channels that Mask, 0 or 1 for each, names: 1 - v of a bit, -1 - v of a signed integer.

    FINN has it as an exclusive-or with a constant, without RTL.
    """

    generic = ("ElementwiseXor", "ElementwiseBitwiseXor")
    label, role = "complement", "quantise"
    divides = (("PE", "NumChannels"),)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        return {**super().get_nodeattr_types(), "Mask": ("ints", True, [])}

    @override
    @classmethod
    def specialise(cls, model: Any, node: NodeProto) -> NodeProto:
        xor = getHWCustomOp(node)
        mask = model.get_initializer(node.input[1])
        datatype = xor.get_output_datatype()
        every_bit = -1 if datatype.signed() else int(datatype.max())
        channelwise = mask is not None and mask.ndim == 1 and xor.get_input_datatype(0) == datatype
        if not channelwise or not np.isin(mask, (0, every_bit)).all():
            raise UnsupportedNodeError(node.name, "an exclusive-or can only complement whole channels")
        return cls.made_from(
            node,
            NumChannels=len(mask),
            Mask=[int(value != 0) for value in mask],
            PE=xor.get_nodeattr("PE"),
            inputDataType=datatype.name,
            numInputVectors=list(xor.get_nodeattr("lhs_shape"))[:-1],
        )

    @override
    def check(self) -> None:
        if len(self.numbers("Mask")) != self.number("NumChannels") or not set(self.numbers("Mask")) <= {0, 1}:
            raise self.refuse("Mask must have 0 or 1 for each of the NumChannels")
        self.check_integer(self.get_input_datatype(), "complements")

    @override
    def execute_python(self, context: dict[str, Any], graph: Any) -> None:
        values, datatype = context[self.onnx_node.input[0]], self.get_input_datatype()
        complement = datatype.min() + datatype.max() - values
        context[self.onnx_node.output[0]] = np.where(self.numbers("Mask"), complement, values).astype(np.float32)

    @override
    def cell(self) -> Cell:
        channels = self.number("NumChannels")
        mask = sum(bit << channel for channel, bit in enumerate(self.numbers("Mask")))
        sizes = {"PE": self.number("PE"), "Width": self.in_bits(), "Channels": channels}
        return Cell("channel_complement", {**sizes, "Mask": f"{channels}'h{mask:x}"})

    def cost(self, part: str) -> Cost:
        """An exclusive-or an element, the mask in LUTs, which takes more where it is deep, counter and handshake."""
        beats = self.number("NumChannels") // self.number("PE")
        mask = 1 if beats <= 64 else beats // 16
        return Cost(lut=self.number("PE") * (self.in_bits() + mask) + 4)

    @override
    @staticmethod
    def kernel(node: Node, emit: Emitter) -> None:
        kind, channels = node.output_type(0), node.output_shape(0)[-1]
        if node.op_type == "ChannelComplement_rtl":
            mask = np.array(node.numbers("Mask")) * (-1 if kind.low else kind.high)
        else:
            mask = node.constant("rhs_dtype")
        if mask.shape != (channels,):
            raise node.refuse(f"a constant of shape {mask.shape} for {channels} channels")
        emit.compute(node, "exclusive_or", [node.pixels(), channels], mask.astype(kind.dtype))
