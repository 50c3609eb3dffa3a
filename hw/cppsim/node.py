# SPDX-License-Identifier: Apache-2.0
"""One node of a graph through its kernel: what FINN's execution calls exec_mode "cppsim"."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from hw.cppsim.accelerator import Accelerator
from hw.cppsim.program import generate_program

KEPT = 256
"""Nodes whose programs stay loaded."""


def execute(node: NodeProto, context: dict[str, Any], graph: Any) -> None:
    """Run ``node`` on the tensors in ``context`` and put its outputs there, float32 as FINN keeps integers.

    Raises:
        UnsupportedNodeError: no kernel computes the node.
        ImageError: a value is outside its datatype.
    """
    known = {tensor.name for tensor in graph.initializer}
    constants = [name for name in node.input if name in known]
    streams = [name for name in node.input if name not in known]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, context[name].shape) for name in names]
        for names in (streams, node.output)
    )
    alone = ModelWrapper(qonnx_make_model(helper.make_graph([node], "node", inputs, outputs)))
    for name in constants:
        alone.set_initializer(name, context[name])
    producers = (other.op_type for other in graph.node if streams[0] in other.output)
    accelerator = _compiled(bytes(alone.model.SerializeToString()), next(producers, ""))
    results = accelerator.execute({name: context[name] for name in streams}, 1)
    for name, values in results.items():
        context[name] = values.astype(np.float32).reshape(context[name].shape)


@lru_cache(maxsize=KEPT)
def _compiled(model: bytes, producer: str) -> Accelerator:
    with tempfile.TemporaryDirectory() as folder:
        generate_program(ModelWrapper(onnx.load_from_string(model)), producer=producer).write(Path(folder))
        return Accelerator.load(folder)  # it has read its constants when it returns
