# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from hw.ops.registry import register
from hw.transforms.fuse_pools import FuseTilePools
from tests.hw.transforms.graphs import make

FINN = {"domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}
Size = tuple[int, int]


def pool(function: str, size: Size, kernel: Size, stride: Size, types: tuple[str, str]) -> ModelWrapper:
    """FINN's two nodes."""
    channels = 3
    dims = [(n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True)]
    windows = (1, *dims, kernel[0] * kernel[1] * channels)
    generator = helper.make_node(
        "ConvolutionInputGenerator", ["x"], ["w"], **FINN, ConvKernelDim=kernel, IFMChannels=channels, IFMDim=size,
        OFMDim=dims, SIMD=1, Stride=stride, Dilation=[1, 1], depthwise=1, inputDataType=types[0],
        outputDataType=types[0],
    )  # fmt: skip
    pooling = helper.make_node(
        "Pool", ["w"], ["y"], **FINN, Channels=channels, PE=1, KernelSize=kernel, Function=function, OutImgDims=dims,
        InputDataType=types[0], OutputDataType=types[1],
    )  # fmt: skip
    shapes = {"x": (1, *size, channels), "w": windows, "y": (1, *dims, channels)}
    model = make([generator, pooling], shapes, "x", "y")
    for name, datatype in zip("xwy", (types[0], *types), strict=True):
        model.set_tensor_datatype(name, DataType[datatype])
    return model


@pytest.mark.parametrize(
    ("function", "size", "kernel", "types"),
    [
        ("QuantAvgPool", (8, 8), (4, 4), ("INT4", "INT4")),
        ("QuantAvgPool", (5, 7), (2, 2), ("UINT5", "UINT5")),
        ("AccPool", (6, 5), (3, 2), ("INT3", "INT6")),
        ("MaxPool", (4, 5), (2, 2), ("INT8", "INT8")),
        ("MaxPool", (4, 4), (2, 4), ("BIPOLAR", "BIPOLAR")),
    ],
)
def test_the_results_are_the_same(function: str, size: Size, kernel: Size, types: tuple[str, str]) -> None:
    register()
    model = pool(function, size, kernel, kernel, types)
    kind, shape = DataType[types[0]], (1, *size, 3)
    drawn = np.random.default_rng(0).integers(int(kind.min()), int(kind.max()) + 1, shape)
    picture = (np.where(drawn < 0, -1, 1) if types[0] == "BIPOLAR" else drawn).astype(np.float32)
    expected = execute_onnx(model, {"x": picture})["y"]
    fused, _ = FuseTilePools().apply(ModelWrapper(model.model, make_deepcopy=True))
    assert [node.op_type for node in fused.graph.node] == ["TilePool_rtl"]
    np.testing.assert_array_equal(execute_onnx(fused, {"x": picture})["y"], expected)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (3, 3)])
def test_other_windows_stay(stride: Size) -> None:
    model = pool("MaxPool", (6, 6), (2, 2), stride, ("INT4", "INT4"))
    before = model.model.SerializeToString()
    assert FuseTilePools().apply(model)[0].model.SerializeToString() == before


def test_windows_that_another_node_reads_stay() -> None:
    model = pool("MaxPool", (6, 6), (2, 2), (2, 2), ("INT4", "INT4"))
    model.graph.node.append(helper.make_node("Identity", ["w"], ["z"]))
    before = model.model.SerializeToString()
    assert FuseTilePools().apply(model)[0].model.SerializeToString() == before
