# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from finn.util.basic import getHWCustomOp
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from hw.design.generate import generate_hdl
from hw.errors import UnsupportedNodeError
from hw.ops.registry import register
from hw.transforms.fuse_groups import FuseGroupedProducts, blocks, compact
from hw.transforms.specialise import specialise
from tests.hw.transforms.graphs import make

FINN = {"domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}
Types = tuple[str, str, str]
SIZE, PART = 5, "xc7z020clg400-1"


def masked(channels: int, outputs: int, groups: int, kernel: int = 3) -> np.ndarray:
    """(taps, channels, outputs), zero between groups and nowhere else."""
    rng = np.random.default_rng([channels, outputs, groups])
    weights = rng.integers(1, 8, (kernel**2, channels, outputs)) * rng.choice([-1, 1], (kernel**2, channels, outputs))
    own = np.arange(channels)[:, None] * groups // channels == np.arange(outputs) * groups // outputs
    return weights * own


def convolution(
    weights: np.ndarray, kernel: int = 3, types: Types = ("INT4", "INT4", "INT12"), dilation: int = 1
) -> ModelWrapper:
    """Windows and their product, as convert makes them."""
    taps, channels, outputs = weights.shape
    dim = SIZE - dilation * (kernel - 1)
    generator = helper.make_node(
        "ConvolutionInputGenerator", ["x"], ["w"], **FINN, ConvKernelDim=[kernel] * 2, IFMChannels=channels,
        IFMDim=[SIZE] * 2, OFMDim=[dim] * 2, SIMD=1, Stride=[1, 1], Dilation=[dilation] * 2, depthwise=0,
        inputDataType=types[0], outputDataType=types[0],
    )  # fmt: skip
    product = helper.make_node(
        "MVAU", ["w", "m"], ["y"], **FINN, MW=taps * channels, MH=outputs, PE=1, SIMD=1, noActivation=1,
        numInputVectors=[1, dim, dim], inputDataType=types[0], weightDataType=types[1], outputDataType=types[2],
        accDataType=types[2],
    )  # fmt: skip
    shapes = {"x": (1, SIZE, SIZE, channels), "w": (1, dim, dim, taps * channels), "y": (1, dim, dim, outputs)}
    model = make([generator, product], shapes, "x", "y")
    model.set_initializer("m", weights.reshape(-1, outputs).astype(np.float32))
    for name, datatype in zip("xwmy", (types[0], *types), strict=True):
        model.set_tensor_datatype(name, DataType[datatype])
    return model


OWN, FINNS = ("FoldedWindow_rtl", "PE"), ("ConvolutionInputGenerator", "SIMD")


@pytest.mark.parametrize(("dilation", "generator"), [(1, OWN), (2, FINNS)])
@pytest.mark.parametrize(("channels", "outputs", "groups"), [(4, 12, 4), (8, 4, 2), (8, 8, 8)])
def test_the_sums_are_the_same(
    channels: int, outputs: int, groups: int, dilation: int, generator: tuple[str, str]
) -> None:
    register()
    op_type, part = generator
    model = convolution(masked(channels, outputs, groups), dilation=dilation)
    picture = np.random.default_rng(0).integers(-8, 8, (1, SIZE, SIZE, channels)).astype(np.float32)
    expected = execute_onnx(model, {"x": picture})["y"]
    fused, _ = FuseGroupedProducts().apply(ModelWrapper(model.model, make_deepcopy=True))
    assert [node.op_type for node in fused.graph.node] == [op_type, "GroupedMVAU_rtl"]
    window, product = map(getHWCustomOp, fused.graph.node)
    assert product.get_nodeattr("Groups") == groups
    np.testing.assert_array_equal(execute_onnx(fused, {"x": picture})["y"], expected)
    assert (window.get_nodeattr(part), product.get_nodeattr("SIMD")) == (1, 1)
    for simd in (1, 2):
        window.set_nodeattr(part, simd)
        product.set_nodeattr("SIMD", simd)
        special = specialise(fused, PART)
        getHWCustomOp(special.graph.node[0]).set_nodeattr("exec_mode", "" if dilation == 1 else "cppsim")
        np.testing.assert_array_equal(execute_onnx(special, {"x": picture})["y"], expected)


def test_both_are_folded_alike(tmp_path: Path) -> None:
    model = convolution(masked(4, 12, 4))
    getHWCustomOp(model.graph.node[0]).set_nodeattr("SIMD", 4)
    fused, _ = FuseGroupedProducts().apply(model)
    window, product = map(getHWCustomOp, fused.graph.node)
    assert (window.get_nodeattr("PE"), product.get_nodeattr("SIMD")) == (4, 4)
    window.set_nodeattr("PE", 2)
    with pytest.raises(UnsupportedNodeError, match="must have PE = 4"):
        generate_hdl(specialise(fused, PART), PART, 10.0, tmp_path)


def test_one_weight_between_groups_makes_it_dense() -> None:
    weights = masked(4, 8, 4)
    assert blocks(weights) == 4
    weights[8, 0, 2] = 1  # between groups 0 and 1
    assert blocks(weights) == 2
    weights[0, 3, 0] = -1
    assert blocks(weights) == 1


def test_blocks_are_what_is_left() -> None:
    weights = masked(6, 9, 3)
    left = compact(weights, 3).reshape(9, 2, 9)
    for output in range(9):
        first = output // 3 * 2
        np.testing.assert_array_equal(left[:, :, output], weights[:, first : first + 2, output])


@pytest.mark.parametrize(
    "model",
    [
        convolution(masked(4, 8, 1)),
        convolution(masked(4, 8, 4, kernel=1), kernel=1),
        convolution(masked(4, 5, 4)),
        convolution(np.sign(masked(4, 8, 4)), types=("BIPOLAR", "INT4", "INT12")),
    ],
    ids=["dense", "a selection", "uneven groups", "bipolar"],
)
def test_other_products_stay(model: ModelWrapper) -> None:
    before = model.model.SerializeToString()
    assert FuseGroupedProducts().apply(model)[0].model.SerializeToString() == before


def test_windows_that_another_node_reads_stay() -> None:
    model = convolution(masked(4, 8, 4))
    model.graph.node.append(helper.make_node("Identity", ["w"], ["z"]))
    before = model.model.SerializeToString()
    assert FuseGroupedProducts().apply(model)[0].model.SerializeToString() == before
