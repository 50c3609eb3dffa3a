# SPDX-License-Identifier: Apache-2.0
"""One-node graphs of every operator, and many graphs side by side in one, so that they compile as one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from finn.core.onnx_exec import execute_onnx
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model

from hw.ops.cell_op import CellOp
from hw.transforms.specialise import specialise
from tests.hw.ops import nodes

RTL = "finn.custom_op.fpgadataflow.rtl"
Size = tuple[int, int]


def padding(size: Size, channels: int, pad: tuple[int, int, int, int], datatype: str) -> ModelWrapper:
    height, width = size
    padded = (1, height + pad[0] + pad[2], width + pad[1] + pad[3], channels)
    return nodes.one_node(
        "FMPadding",
        {"in": ((1, height, width, channels), datatype)},
        {"out": (padded, datatype)},
        ImgDim=list(size),
        Padding=list(pad),
        NumChannels=channels,
        inputDataType=datatype,
    )


def window(
    size: Size,
    channels: int,
    kernel: Size,
    datatype: str,
    *,
    stride: Size = (1, 1),
    dilation: Size = (1, 1),
    depthwise: int = 0,
    simd: int = 1,
) -> ModelWrapper:
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)]
    return nodes.one_node(
        "ConvolutionInputGenerator",
        {"in": ((1, *size, channels), datatype)},
        {"out": ((1, *out, kernel[0] * kernel[1] * channels), datatype)},
        IFMDim=list(size),
        OFMDim=out,
        ConvKernelDim=list(kernel),
        Stride=list(stride),
        Dilation=list(dilation),
        IFMChannels=channels,
        SIMD=simd,
        depthwise=depthwise,
        inputDataType=datatype,
        outputDataType=datatype,
    )


def thresholds(shape: tuple[int, ...], steps: int, types: tuple[str, str, str], bias: int, rows: int) -> ModelWrapper:
    """Types of input, thresholds and output; rows is the number of channels with thresholds of their own, or 1."""
    rng = np.random.default_rng([steps, rows])
    low, high = _range(types[1])
    values = np.sort(rng.integers(low, high + 1, (rows, steps)), axis=1)
    return nodes.one_node(
        "Thresholding",
        {"in": (shape, types[0])},
        {"out": (shape, types[2])},
        (values, types[1]),
        NumChannels=shape[-1],
        PE=1,
        numSteps=steps,
        inputDataType=types[0],
        weightDataType=types[1],
        outputDataType=types[2],
        ActVal=bias,
        numInputVectors=list(shape[:-1]),
    )


def integers(mw: int, mh: int, types: tuple[str, str, str], vectors: list[int]) -> ModelWrapper:
    low, high = _range(types[1])
    weights = np.random.default_rng([mw, mh]).integers(low, high + 1, (mw, mh))
    return nodes.product(weights, types, vectors)


def agreements(mw: int, mh: int, out: str, vectors: list[int]) -> ModelWrapper:
    weights = np.random.default_rng([mw, mh]).integers(0, 2, (mw, mh))
    return nodes.product(weights, ("BINARY", "BINARY", out), vectors, binaryXnorMode=1)


def _range(datatype: str) -> tuple[int, int]:
    return int(DataType[datatype].min()), int(DataType[datatype].max())


FINN_CASES: dict[str, Callable[[], ModelWrapper]] = {
    "padding": lambda: padding((5, 4), 3, (1, 1, 1, 1), "UINT8"),
    "padding_uneven": lambda: padding((3, 6), 2, (0, 2, 1, 3), "INT5"),
    "padding_wide": lambda: padding((3, 3), 4, (1, 1, 1, 1), "INT12"),
    "padding_packed": lambda: padding((4, 3), 16, (1, 1, 1, 1), "BINARY"),
    "padding_packed_words": lambda: padding((3, 4), 70, (2, 0, 0, 1), "BINARY"),
    "window": lambda: window((6, 5), 3, (3, 3), "UINT8"),
    "window_stride": lambda: window((9, 7), 4, (3, 2), "INT4", stride=(2, 3)),
    "window_dilation": lambda: window((9, 9), 2, (3, 3), "INT4", dilation=(2, 3)),
    "window_one": lambda: window((6, 6), 8, (1, 1), "INT4", stride=(2, 2)),
    "window_packed": lambda: window((6, 6), 16, (3, 3), "BINARY"),
    "window_packed_odd": lambda: window((7, 5), 5, (3, 3), "BINARY", stride=(2, 1)),
    "window_packed_words": lambda: window((5, 4), 70, (2, 3), "BINARY"),
    "window_packed_64": lambda: window((5, 4), 64, (3, 3), "BINARY", stride=(1, 2)),
    "window_depthwise": lambda: window((8, 8), 8, (4, 4), "INT4", stride=(4, 4), depthwise=1, simd=2),
    "window_depthwise_packed": lambda: window((4, 4), 6, (2, 2), "BINARY", depthwise=1, simd=3),
    "thresholds": lambda: thresholds((1, 5, 5, 16), 15, ("INT12", "INT12", "INT4"), -8, 16),
    "thresholds_narrow": lambda: thresholds((1, 7, 5, 16), 31, ("UINT8", "UINT8", "INT5"), -16, 16),
    "thresholds_beyond": lambda: thresholds((1, 3, 5, 20), 31, ("UINT8", "UINT9", "INT5"), -16, 20),
    "thresholds_shared": lambda: thresholds((1, 6, 6, 3), 15, ("INT6", "INT7", "INT4"), -8, 1),
    "thresholds_many": lambda: thresholds((2, 32), 255, ("INT8", "INT9", "INT8"), -128, 32),
    "thresholds_many_narrow": lambda: thresholds((3, 5), 255, ("INT8", "INT8", "UINT8"), 0, 5),
    "thresholds_wide": lambda: thresholds((9, 7), 3, ("INT24", "INT24", "UINT2"), 0, 7),
    "thresholds_binary": lambda: thresholds((1, 5, 3, 70), 1, ("INT4", "INT5", "BINARY"), 0, 70),
    "thresholds_binary_shared": lambda: thresholds((1, 5, 5, 16), 1, ("INT4", "INT2", "BINARY"), 0, 1),
    "thresholds_bipolar": lambda: thresholds((4, 6), 1, ("INT4", "INT5", "BIPOLAR"), 0, 6),
    "thresholds_of_bits": lambda: thresholds((4, 70), 1, ("BINARY", "INT2", "UINT1"), 0, 70),
    "product_8_bit": lambda: integers(27, 16, ("UINT8", "INT8", "INT19"), [1, 4, 4]),
    "product_4_bit": lambda: integers(144, 48, ("INT4", "INT4", "INT15"), [1, 2, 2]),
    "product_odd": lambda: integers(7, 5, ("INT8", "INT3", "INT13"), [9]),
    "product_wide": lambda: integers(6, 9, ("INT12", "INT10", "INT25"), [3]),
    "product_of_bits": lambda: integers(70, 4, ("BINARY", "INT4", "INT11"), [3]),
    "product_bipolar_weights": lambda: nodes.product(
        np.where(np.arange(24).reshape(8, 3) % 3, 1, -1), ("INT4", "BIPOLAR", "INT8"), [4]
    ),
}
"""FINN's own nodes."""

SHAPES: dict[str, Callable[[], ModelWrapper]] = {
    "xnor_one_word": lambda: agreements(64, 5, "UINT7", [3]),
    "xnor_words": lambda: agreements(577, 33, "UINT10", [2]),
    "xnor_1x1": lambda: agreements(1, 1, "UINT1", [4]),
    "duplicate_bits": lambda: nodes.duplicate([1, 2, 2], 70, 1, 2, "BINARY"),
    "concat_bits": lambda: nodes.concat([1, 3, 2], [5, 66], 1, ["BINARY", "BINARY"], "BINARY"),
    "global_pool_bits": lambda: nodes.global_pool(3, 5, 1, ("BINARY", "UINT4")),
    "add_wide": lambda: nodes.add((5, 3), "INT20", "UINT17", "INT21", 1),
    "pool_maximum_bits": lambda: nodes.pool("MaxPool", 6, 2, 2, 2, types=("BINARY", "BINARY")),
    "tiles_maximum_packed": lambda: nodes.tiles("MaxPool", 70, (4, 3), (2, 1), types=("BINARY", "BINARY")),
}
"""Sizes at which this project's operators could go wrong in memory."""

GENERIC = nodes.CASES | FINN_CASES | SHAPES
SPECIALISED = {name: make for name, make in nodes.CASES.items() if "bipolar" not in name}


def specialised(name: str) -> ModelWrapper:
    """A case of this project's operators as an RTL node; this project's pools then read a generator's order."""
    return specialise(SPECIALISED[name](), nodes.PART)


def reference(model: ModelWrapper, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of FINN's Python execution."""
    for node in model.graph.node:
        if node.domain == RTL:
            operator = getCustomOp(node)
            operator.set_nodeattr("exec_mode", "" if isinstance(operator, CellOp) else "cppsim")
    return dict(execute_onnx(model, dict(inputs)))


def merged(models: Mapping[str, ModelWrapper]) -> ModelWrapper:
    """All graphs in one, their tensors and nodes called CASE.NAME."""
    parts: dict[str, list[Any]] = {"nodes": [], "inputs": [], "outputs": []}
    whole: list[tuple[str, ModelWrapper]] = list(models.items())
    for case, model in whole:
        for node in model.graph.node:
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{case}.{node.name}"
            copy.input[:] = [f"{case}.{name}" for name in node.input]
            copy.output[:] = [f"{case}.{name}" for name in node.output]
            parts["nodes"].append(copy)
        for side, tensors in (("inputs", model.graph.input), ("outputs", model.graph.output)):
            for tensor in tensors:
                if model.get_initializer(tensor.name) is None:
                    parts[side].append(
                        helper.make_tensor_value_info(f"{case}.{tensor.name}", 1, model.get_tensor_shape(tensor.name))
                    )
    result = ModelWrapper(
        qonnx_make_model(helper.make_graph(parts["nodes"], "merged", parts["inputs"], parts["outputs"]))
    )
    for case, model in whole:
        for tensor in model.graph.initializer:
            result.set_initializer(f"{case}.{tensor.name}", model.get_initializer(tensor.name))
    return result


def chain(models: list[ModelWrapper]) -> ModelWrapper:
    """Graphs of one node each, behind each other."""
    names = {f"{index}": model for index, model in enumerate(models)}
    whole = merged(names)
    for index, node in enumerate(whole.graph.node):
        node.name = f"{node.op_type}_{index}"
        if index:
            node.input[0] = f"{index - 1}.out"
    inner = [tensor for tensor in whole.graph.output if tensor.name != f"{len(models) - 1}.out"]
    for tensor in inner:
        whole.graph.output.remove(tensor)
        whole.graph.value_info.append(tensor)
    for tensor in [tensor for tensor in whole.graph.input if tensor.name != "0.in"]:
        whole.graph.input.remove(tensor)
    return whole


def classifier(label: bool = False) -> ModelWrapper:
    """Images (3, 5, 4) of UINT8 to five classes: an integer and a binary convolution, a global sum, a product."""
    return chain(
        [
            padding((5, 4), 3, (1, 1, 1, 1), "UINT8"),
            window((7, 6), 3, (3, 3), "UINT8"),
            integers(27, 10, ("UINT8", "INT4", "INT18"), [1, 5, 4]),
            thresholds((1, 5, 4, 10), 1, ("INT18", "INT10", "BINARY"), 0, 10),
            padding((5, 4), 10, (1, 1, 1, 1), "BINARY"),
            window((7, 6), 10, (3, 3), "BINARY"),
            agreements(90, 12, "UINT7", [1, 5, 4]),
            thresholds((1, 5, 4, 12), 15, ("UINT7", "UINT6", "INT4"), -8, 12),
            nodes.one_node(
                "GlobalAccPool",
                {"in": ((1, 5, 4, 12), "INT4")},
                {"out": ((1, 1, 1, 12), "INT9")},
                NumChannels=12,
                PE=1,
                inputDataType="INT4",
                numInputVectors=[1, 5, 4],
            ),
            integers(12, 5, ("INT9", "INT4", "INT16"), [1, 1, 1]),
            *([nodes.label(5, 1, "INT16", [1, 1, 1])] if label else []),
        ]
    )


def images(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3, 5, 4) uint8 for `classifier`."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 5, 4), dtype=np.uint8)
