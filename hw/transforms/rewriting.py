# SPDX-License-Identifier: Apache-2.0
"""What transformations have in common that rewrite a graph around nodes of some types."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from onnx import NodeProto, TensorProto, helper
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name

from hw.ops.cell_op import RTL_DOMAIN

TO_NHWC = [0, 2, 3, 1]
"""The permutation that makes a tensor channels last."""
TO_NCHW = [0, 3, 1, 2]
"""Back again."""


class Rewriting(Transformation):
    """Rewrites a graph around every node of the types ``at``."""

    at: ClassVar[tuple[str, ...]]

    @abstractmethod
    def rewrite(self, model: Any, node: Any) -> bool:
        """Rewrite the graph around ``node`` where that is possible; whether another pass may find more."""

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Rewrite the graph around all of them; the second result says whether another pass may find more."""
        changed = [self.rewrite(model, node) for node in list(model.graph.node) if node.op_type in self.at]
        return model, any(changed)


def only_consumer(model: Any, tensor: str, op_type: str) -> Any:
    """The node of a type that reads ``tensor``, or None where something else does too, a graph output or a node."""
    consumers = model.find_consumers(tensor)
    is_output = any(output.name == tensor for output in model.graph.output)
    return consumers[0] if [node.op_type for node in consumers] == [op_type] and not is_output else None


def makes_channels_last(node: Any) -> bool:
    """Whether a node is the transpose from NCHW to NHWC."""
    return node.op_type == "Transpose" and list(get_by_name(node.attribute, "perm").ints) == TO_NHWC


def replace(model: Any, node: Any, *others: Any) -> None:
    """Put other nodes in the place of one, which may be among them."""
    place = list(model.graph.node).index(node)
    del model.graph.node[place]
    for offset, other in enumerate(others):
        model.graph.node.insert(place + offset, other)


def rtl_node(
    model: Any, node: Any, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **more: Any
) -> NodeProto:
    """An RTL operator of this project for what a node does: for the vectors of its first input, one at a time."""
    shape = model.get_tensor_shape(inputs[0])
    attributes = {
        "NumChannels": shape[-1],
        "numInputVectors": shape[:-1],
        "PE": 1,
        "inputDataType": model.get_tensor_datatype(inputs[0]).name,
    } | more
    return helper.make_node(
        op_type, inputs, outputs, domain=RTL_DOMAIN, backend="fpgadataflow", doc_string=node.doc_string, **attributes
    )


def replace_by_rtl(
    model: Any, node: Any, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **more: Any
) -> None:
    """Put such an operator in the node's place."""
    replace(model, node, rtl_node(model, node, op_type, inputs, outputs, **more))


def new_tensor(model: Any, shape: Sequence[int], datatype: Any = None) -> str:
    """Add a tensor; return its name."""
    name = str(model.make_new_valueinfo_name())
    model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    if datatype is not None:
        model.set_tensor_datatype(name, datatype)
    return name


def new_constant(model: Any, values: Any, datatype: Any = None) -> str:
    """Add a constant tensor; return its name."""
    name = new_tensor(model, values.shape, datatype)
    model.set_initializer(name, values)
    return name


def multi_threshold(model: Any, source: str, sink: str, levels: Any, datatype: Any) -> Any:
    """Make a node of thresholds (channels or 1, steps) for an NCHW tensor; the last step gives the type's maximum."""
    return helper.make_node(
        "MultiThreshold",
        [source, new_constant(model, levels)],
        [sink],
        domain="qonnx.custom_op.general",
        out_dtype=datatype.name,
        out_bias=float(datatype.max() - levels.shape[1]),
        data_layout="NCHW",
    )
