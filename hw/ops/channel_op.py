# SPDX-License-Identifier: Apache-2.0
"""What operators share that FINN lacks altogether: one stream in, one out, both of the same datatype."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from onnx import NodeProto, helper
from qonnx.core.datatype import BaseDataType, DataType
from typing_extensions import override

from hw.ops.cell_op import RTL_DOMAIN, CellOp


class ChannelOp(CellOp):
    """Maps each vector of NumChannels elements, PE a beat; a subclass says how many channels come out."""

    @abstractmethod
    def output_channels(self) -> int:
        """Elements of an output vector."""

    @classmethod
    def made_from(cls, node: NodeProto, **attributes: Any) -> NodeProto:
        """A node of this type with ``attributes`` in place of ``node``, of which input 0 is the stream."""
        depths = {a.name: list(a.ints)[:1] for a in node.attribute if a.name in ("inFIFODepths", "outFIFODepths")}
        common = {"name": node.name, "domain": RTL_DOMAIN, "backend": "fpgadataflow"}
        return helper.make_node(cls.__name__, node.input[:1], node.output, **common, **attributes, **depths)

    @override
    def get_nodeattr_types(self) -> dict[str, Any]:
        return {
            **super().get_nodeattr_types(),
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 1),
            "inputDataType": ("s", True, ""),
            "numInputVectors": ("ints", False, [1]),
        }

    @override
    def infer_node_datatype(self, model: Any) -> None:
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(self.onnx_node.input[0]).name)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    @override
    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.text("inputDataType")]

    @override
    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return self.get_input_datatype()

    @override
    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.numbers("numInputVectors"), self.number("NumChannels"))

    @override
    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.numbers("numInputVectors"), self.output_channels())

    @override
    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self._folded(self.number("NumChannels"))

    @override
    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self._folded(self.output_channels())

    @override
    def get_instream_width(self, ind: int = 0) -> int:
        return self.number("PE") * self.in_bits()

    @override
    def get_outstream_width(self, ind: int = 0) -> int:
        return self.get_instream_width()

    def get_exp_cycles(self) -> int:
        """One cycle an output beat."""
        return self.vectors() * (self.output_channels() // self.number("PE"))

    def _folded(self, channels: int) -> tuple[int, ...]:
        pe = self.number("PE")
        return (*self.numbers("numInputVectors"), channels // pe, pe)
