# SPDX-License-Identifier: Apache-2.0
"""New tensors and nodes for graphs that a transformation rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto, helper


def new_tensor(model: Any, shape: Sequence[int] | None, datatype: Any = None) -> str:
    """Add a tensor, without a shape where that is to be inferred; return its name."""
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
