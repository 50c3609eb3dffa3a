# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from hw.ops.registry import register
from hw.transforms.fuse_products import FuseDspProducts
from tests.hw.transforms.test_fuse_windows import FINN, windows

OUTPUTS = 6


def convolution(
    size: tuple[int, int] = (6, 5), channels: int = 3, padding: int = 1, stride: int = 1, **changes: Any
) -> ModelWrapper:
    """FINN's two or three nodes of a convolution of integers; ``largest`` is that of its weights."""
    options: dict[str, Any] = {"datatype": "UINT8", "largest": 127, "sums": "INT21"} | changes
    shape = {name: options.pop(name) for name in ("largest", "sums")}
    model = windows(size, channels, padding, stride, **options)
    vectors = model.get_tensor_shape("y")
    weights = np.random.default_rng(1).integers(-shape["largest"], shape["largest"] + 1, (vectors[-1], OUTPUTS))
    weights[0, :2] = -shape["largest"], shape["largest"]
    product = helper.make_node(
        "MVAU", ["y", "w"], ["z"], **FINN,
        MW=vectors[-1], MH=OUTPUTS, PE=1, SIMD=1, noActivation=1, numInputVectors=vectors[:-1],
        inputDataType=options["datatype"], weightDataType="INT9", outputDataType=shape["sums"],
        accDataType=shape["sums"],
    )  # fmt: skip
    model.graph.node.append(product)
    model.graph.output.pop()
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, vectors))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [*vectors[:-1], OUTPUTS]))
    model.set_initializer("w", weights.astype(np.float32))
    model.set_tensor_datatype("z", DataType[shape["sums"]])
    return model


def _sums(model: ModelWrapper, picture: np.ndarray) -> np.ndarray:
    return np.asarray(execute_onnx(model, {"x": picture.astype(np.float32)})["z"])


@pytest.mark.parametrize(
    "model",
    [
        convolution(),
        convolution((7, 8), 1, stride=2),
        convolution((5, 5), 4, 0, datatype="INT8"),
        convolution((5, 5), 2, 2, kernel=5),
    ],
    ids=["stem", "stride", "signed", "kernel"],
)
def test_the_sums_are_the_same(model: ModelWrapper) -> None:
    register()
    pixels = model.get_tensor_datatype("x")
    picture = np.random.default_rng(0).integers(int(pixels.min()), int(pixels.max()) + 1, model.get_tensor_shape("x"))
    expected = _sums(model, picture)
    fused, _ = FuseDspProducts().apply(ModelWrapper(model.model, make_deepcopy=True))
    assert [node.op_type for node in fused.graph.node] == ["BinaryWindow_rtl", "DspMVAU_rtl"]
    np.testing.assert_array_equal(_sums(fused, picture), expected)


@pytest.mark.parametrize(
    "model",
    [
        convolution(channels=8),
        convolution(largest=7),
        convolution(largest=128),
        convolution(datatype="BINARY"),
        convolution(sums="UINT20"),
        convolution(depthwise=1),
    ],
    ids=["many inputs", "narrow weights", "too wide weights", "bits", "unsigned sums", "a pool's order"],
)
def test_other_products_stay(model: ModelWrapper) -> None:
    before = [node.op_type for node in model.graph.node]
    assert [node.op_type for node in FuseDspProducts().apply(model)[0].graph.node] == before


def test_windows_that_another_node_reads_stay() -> None:
    model = convolution()
    model.graph.node.append(helper.make_node("Identity", ["y"], ["other"]))
    FuseDspProducts().apply(model)
    assert [node.op_type for node in model.graph.node] == ["FMPadding", "ConvolutionInputGenerator", "MVAU", "Identity"]
