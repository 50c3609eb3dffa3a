# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from finn.util.basic import getHWCustomOp
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from hw.ops.registry import register
from hw.transforms.fuse_lines import FuseLines
from tests.hw.transforms.graphs import make

SHAPE = (1, 3, 5, 4)


def batch_norm(seed: int, taken: str, given_: str, channels: int = 4) -> np.ndarray:
    """Thresholds as a batch norm with rounding makes them; of some channels a part lies beyond the input's range."""
    rng = np.random.default_rng(seed)
    kind, bits = DataType[taken], int(DataType[given_].bitwidth())
    width = rng.uniform(0.02, 1.2, (channels, 1)) * 2 ** kind.bitwidth()
    middle = (kind.min() + kind.max()) / 2 + rng.uniform(-0.3, 0.3, (channels, 1)) * 2 ** kind.bitwidth()
    levels = np.ceil(middle + width * ((np.arange(2**bits - 1) + 0.5) / (2**bits - 1) - 0.5))
    return levels.clip(kind.min(), kind.max() + 1)


def thresholds(levels: np.ndarray, taken: str, given_: str) -> ModelWrapper:
    register()
    node = helper.make_node(
        "Thresholding", ["x", "levels"], ["y"],
        domain="finn.custom_op.fpgadataflow", backend="fpgadataflow", doc_string="layer1.bn",
        NumChannels=SHAPE[-1], numSteps=levels.shape[1], PE=1, numInputVectors=SHAPE[:-1],
        inputDataType=taken, weightDataType="INT32", outputDataType=given_, ActVal=int(DataType[given_].min()),
    )  # fmt: skip
    model = make([node], {"x": SHAPE, "y": SHAPE}, "x", "y")
    model.set_initializer("levels", levels.astype(np.float32))
    for name, datatype in (("x", taken), ("y", given_), ("levels", "INT32")):
        model.set_tensor_datatype(name, DataType[datatype])
    return model


def fused(model: ModelWrapper) -> ModelWrapper:
    return FuseLines().apply(ModelWrapper(model.model, make_deepcopy=True))[0]


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    types=st.sampled_from([("INT14", "INT4"), ("INT10", "INT8"), ("UINT9", "INT2"), ("INT12", "UINT3")]),
)
def test_a_batch_norm_becomes_lines(seed: int, types: tuple[str, str]) -> None:
    levels = batch_norm(seed, *types)
    model = thresholds(levels, *types)
    kind = DataType[types[0]]
    near = levels[:, np.random.default_rng(seed).integers(0, levels.shape[1], 15)].T.reshape(SHAPE)
    x = (near + np.arange(15).reshape(3, 5, 1) % 3 - 1).clip(kind.min(), kind.max()).astype(np.float32)
    lines = fused(model)
    assert [node.op_type for node in lines.graph.node] == ["Requantise_rtl"]
    np.testing.assert_array_equal(execute_onnx(lines, {"x": x})["y"], execute_onnx(model, {"x": x})["y"])


def test_only_the_side_of_what_lies_far_off_is_kept() -> None:
    """Thresholds within 15 of 19 bits: another bit says that an input is beyond them."""
    levels = np.array([[-9000], [-500], [100], [8000]]) + np.arange(15) * 401
    op = getHWCustomOp(fused(thresholds(levels, "INT19", "INT4")).graph.node[0])
    assert op.cell().parameters["KeptWidth"] == 16 and op.onnx_node.doc_string == "layer1.bn"


@pytest.mark.parametrize(
    ("levels", "types"),
    [
        (np.tile([0.0], (4, 1)), ("INT4", "BINARY")),  # signs are cheaper as they are
        (np.sort(np.random.default_rng(1).integers(-500, 500, (4, 15))), ("INT10", "INT4")),  # on no line
        (batch_norm(3, "INT12", "INT4")[:, :12], ("INT12", "INT4")),  # does not reach the end of the type
        (
            np.ceil(np.arange(15) * [[99999.123], [98765.432], [97531.2], [12345.6]] - 7e5),
            ("INT22", "INT4"),
        ),  # too wide a product
    ],
)
def test_what_is_no_line_stays(levels: np.ndarray, types: tuple[str, str]) -> None:
    assert [node.op_type for node in fused(thresholds(levels, *types)).graph.node] == ["Thresholding"]
