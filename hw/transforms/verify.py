# SPDX-License-Identifier: Apache-2.0
"""Running any graph of the flow on images, so that every step can be compared with the golden values."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from finn.util.fpgadataflow import is_fpgadataflow_node, is_rtl_node
from numpy.typing import NDArray
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_shapes import InferShapes

from hw.ops.cell_op import CellOp
from hw.transforms.passes import apply


def execute(model: Any, images: NDArray[Any]) -> NDArray[np.float32]:
    """Run ``model`` on each image with FINN's Python execution.

    Args:
        model: any graph with one input and one output, from the QONNX export to the partition of hardware nodes;
            NCHW or channels last.
        images: (n, channels, height, width), values 0 .. 255.

    Returns:
        (n, ...) float32: logits, or the integers at the partition's output. All are dyadic numbers that float32
        holds exactly, so they can be compared without a tolerance.

    Raises:
        ValueError: the images do not have the input's shape.
    """
    model = _in_python(model)
    sink = model.graph.output[0].name
    results = [execute_onnx(model, _arranged(image, model))[sink][0] for image in images]
    return np.stack(results).astype(np.float32)


def _arranged(image: NDArray[Any], model: Any) -> dict[str, NDArray[np.float32]]:
    """``image`` (channels, height, width) as the graph's input: channels last where hardware reads it."""
    source = model.graph.input[0].name
    shape = tuple(model.get_tensor_shape(source))
    values = image.astype(np.float32)[None]
    if is_fpgadataflow_node(model.find_consumer(source)):
        values = np.ascontiguousarray(np.moveaxis(values, 1, -1))
    if values.shape != shape:
        raise ValueError(f"images, arranged as {values.shape}, do not fit the graph's input {shape}")
    return {source: values}


def tensors(model: Any, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Every tensor of ``model``'s Python execution on one image (channels, height, width), by name."""
    model = _in_python(model)
    context = execute_onnx(model, _arranged(image, model), return_full_exec_context=True)
    return {name: value for name, value in context.items() if isinstance(value, np.ndarray)}


def _in_python(model: Any) -> Any:
    """A copy of ``model`` whose nodes run Python: FINN's RTL operators do so in mode "cppsim", ours in none."""
    model = apply(copy.deepcopy(model), InferShapes())
    model.set_metadata_prop("exec_mode", "")  # a stitched graph says "rtlsim"
    for operator in map(getCustomOp, filter(is_rtl_node, model.graph.node)):
        operator.set_nodeattr("exec_mode", "" if isinstance(operator, CellOp) else "cppsim")
    return model
