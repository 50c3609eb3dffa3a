# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from hw.ops.registry import register
from hw.transforms.fuse_windows import FuseBinaryWindows
from tests.hw.transforms.graphs import make

FINN = {"domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}


def windows(
    size: tuple[int, int],
    channels: int,
    padding: int,
    stride: int,
    *,
    kernel: int = 3,
    datatype: str = "BINARY",
    **more: int,
) -> ModelWrapper:
    """FINN's two nodes, or the second alone."""
    around = [n + 2 * padding for n in size]
    dims = [(n - kernel) // stride + 1 for n in around]
    shapes = {"x": (1, *size, channels), "p": (1, *around, channels), "y": (1, *dims, kernel**2 * channels)}
    pad = helper.make_node(
        "FMPadding", ["x"], ["p"], **FINN,
        ImgDim=size, Padding=[padding] * 4, NumChannels=channels, SIMD=1, inputDataType=datatype,
    )  # fmt: skip
    generator = helper.make_node(
        "ConvolutionInputGenerator", ["p" if padding else "x"], ["y"], **FINN,
        ConvKernelDim=[kernel] * 2, IFMChannels=channels, IFMDim=around, OFMDim=dims, SIMD=1, Stride=[stride] * 2,
        **{"Dilation": [1, 1], "depthwise": 0, **more}, inputDataType=datatype, outputDataType=datatype,
    )  # fmt: skip
    nodes, names = ([pad, generator], "xpy") if padding else ([generator], "xy")
    model = make(nodes, {name: shapes[name] for name in names}, "x", "y")
    for name in names:
        model.set_tensor_datatype(name, DataType[datatype])
    return model


@pytest.mark.parametrize(
    ("size", "channels", "padding", "stride", "kernel"),
    [((6, 5), 16, 1, 1, 3), ((8, 8), 5, 1, 2, 3), ((7, 5), 3, 1, 2, 3), ((5, 6), 4, 0, 1, 3), ((6, 6), 2, 2, 1, 5)],
)
def test_the_windows_are_the_same(size: tuple[int, int], channels: int, padding: int, stride: int, kernel: int) -> None:
    register()
    model = windows(size, channels, padding, stride, kernel=kernel)
    picture = np.random.default_rng(0).integers(0, 2, (1, *size, channels)).astype(np.float32)
    expected = execute_onnx(model, {"x": picture})["y"]
    fused, _ = FuseBinaryWindows().apply(ModelWrapper(model.model, make_deepcopy=True))
    assert [node.op_type for node in fused.graph.node] == ["BinaryWindow_rtl"]
    np.testing.assert_array_equal(execute_onnx(fused, {"x": picture})["y"], expected)


@pytest.mark.parametrize(
    "model",
    [
        windows((6, 6), 4, 1, 1, datatype="INT4"),
        windows((6, 6), 4, 1, 1, depthwise=1),
        windows((6, 6), 4, 1, 2, kernel=1),
        windows((6, 6), 256, 1, 1),
    ],
    ids=["integers", "a pool's order", "no window", "too wide"],
)
def test_other_windows_stay(model: ModelWrapper) -> None:
    before = model.model.SerializeToString()
    assert FuseBinaryWindows().apply(model)[0].model.SerializeToString() == before


def test_padding_that_another_node_reads_stays() -> None:
    model = windows((6, 5), 4, 1, 1)
    model.graph.node.append(helper.make_node("Identity", ["p"], ["z"]))
    fused, _ = FuseBinaryWindows().apply(model)
    assert [node.op_type for node in fused.graph.node] == ["FMPadding", "BinaryWindow_rtl", "Identity"]
    assert fused.graph.node[1].input[0] == "p"
