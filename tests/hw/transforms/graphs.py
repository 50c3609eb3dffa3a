# SPDX-License-Identifier: Apache-2.0
"""Small graphs for the tests of transformations."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model


def make(nodes: list[Any], tensors: dict[str, tuple[int, ...]], source: str, *sinks: str) -> ModelWrapper:
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in tensors.items()}
    graph = helper.make_graph(nodes, "g", [info[source]], [info[sink] for sink in sinks])
    graph.value_info.extend(i for name, i in info.items() if name not in (source, *sinks))
    return ModelWrapper(qonnx_make_model(graph))


def multi_threshold(source: str, levels: str, sink: str, datatype: str, bias: float, **attributes: Any) -> Any:
    common = {"domain": "qonnx.custom_op.general", "data_layout": "NCHW"}
    return helper.make_node(
        "MultiThreshold", [source, levels], [sink], out_dtype=datatype, out_bias=float(bias), **common, **attributes
    )


def unchanged(model: ModelWrapper, transformation: Any) -> bool:
    before = model.model.SerializeToString()
    result, changed = transformation.apply(model)
    return not changed and result.model.SerializeToString() == before


def outside_partition(parent: ModelWrapper) -> list[str]:
    """Operator types of the nodes that stay outside the hardware, in order."""
    return [node.op_type for node in parent.graph.node if node.op_type != "StreamingDataflowPartition"]
