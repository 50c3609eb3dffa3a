# SPDX-License-Identifier: Apache-2.0
"""What operators share that FINN lacks altogether: one stream in, one out, both of the same datatype."""

from __future__ import annotations

from typing import Any

from onnx import NodeProto, helper
from qonnx.core.datatype import BaseDataType, DataType

from hw.ops.cell_op import RTL_DOMAIN, CellOp


class ChannelOp(CellOp):
    """Maps each vector of NumChannels elements, PE per beat; a subclass says how many channels come out."""

    def output_channels(self) -> int:
        """Elements of an output vector."""
        return self.number("NumChannels")

    @classmethod
    def made_from(cls, node: NodeProto, **attributes: Any) -> NodeProto:
        """A node of this type with ``attributes`` in place of ``node``, of which input 0 is the stream."""
        depths = {a.name: list(a.ints)[:1] for a in node.attribute if a.name in ("inFIFODepths", "outFIFODepths")}
        common = {"name": node.name, "domain": RTL_DOMAIN, "backend": "fpgadataflow"}
        return helper.make_node(cls.__name__, node.input[:1], node.output, **common, **attributes, **depths)

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes as FINN describes them: (type, required, default)."""
        return {
            **super().get_nodeattr_types(),
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 1),
            "inputDataType": ("s", True, ""),
            "numInputVectors": ("ints", False, [1]),
        }

    def infer_node_datatype(self, model: Any) -> None:
        """The output has the input's datatype."""
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(self.onnx_node.input[0]).name)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        """Of the input and the output."""
        return DataType[self.text("inputDataType")]

    get_output_datatype = get_input_datatype

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., channels)."""
        return (*self.numbers("numInputVectors"), self.number("NumChannels"))

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., channels)."""
        return (*self.numbers("numInputVectors"), self.output_channels())

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., channels / PE, PE)."""
        return self._folded(self.number("NumChannels"))

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """(vectors..., channels / PE, PE)."""
        return self._folded(self.output_channels())

    def get_instream_width(self, ind: int = 0) -> int:
        """Bits of a beat, without padding."""
        return self.number("PE") * self.in_bits()

    get_outstream_width = get_instream_width

    def _folded(self, channels: int) -> tuple[int, ...]:
        pe = self.number("PE")
        return (*self.numbers("numInputVectors"), channels // pe, pe)
