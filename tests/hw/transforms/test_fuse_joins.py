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
from hw.transforms.fuse_joins import FuseResidualJoins, affine, same
from tests.hw.transforms.graphs import make

FINN = {"domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}
SHAPE = (1, 3, 5, 4)
COUNTS = 144


def batch_norm(seed: int, bits: int, largest: int, channels: int = 4) -> np.ndarray:
    """Thresholds (channels, 2^bits - 1) on counts as a batch norm with rounding makes them."""
    rng = np.random.default_rng(seed)
    slope = rng.uniform(0.05, 3, (channels, 1)) * 2**bits / largest
    middle = rng.uniform(0.2, 0.8, (channels, 1)) * largest
    steps = np.arange(2**bits - 1) - 2 ** (bits - 1) + 0.5
    return np.ceil(middle + steps / slope)


def identity(bits: int) -> np.ndarray:
    """Thresholds that only clip."""
    return np.arange(2**bits - 1, dtype=np.float64)[None] - 2 ** (bits - 1) + 1


def join(
    levels: np.ndarray, residual: str, total: str, clip: np.ndarray | None = None, *, signs: int = 1
) -> ModelWrapper:
    """What streamlining leaves of the end of a block: a sum whose value is read, and its sign."""
    branch_bits = int(np.log2(levels.shape[1] + 1))
    branch, bits = f"INT{branch_bits}", DataType[total].bitwidth()
    clip = identity(bits) if clip is None else clip

    def thresholds(source: str, name: str, sink: str, types: tuple[str, str], values: np.ndarray) -> object:
        of, into = types
        lowest = 0 if into == "BINARY" else int(DataType[into].min())
        sizes = {"NumChannels": SHAPE[-1], "numSteps": values.shape[1], "PE": 1, "numInputVectors": SHAPE[:-1]}
        kinds = {"inputDataType": of, "weightDataType": "INT16", "outputDataType": into}
        return helper.make_node("Thresholding", [source, name], [sink], **FINN, **sizes, **kinds, ActVal=lowest)

    wide = "INT16"
    shapes = {"lhs_shape": SHAPE, "rhs_shape": SHAPE, "out_shape": SHAPE}
    types = {"lhs_dtype": residual, "rhs_dtype": branch, "out_dtype": wide}
    nodes = [
        thresholds("x", "levels", "b", ("UINT8", branch), levels),
        helper.make_node("ElementwiseAdd", ["r", "b"], ["s"], **FINN, **shapes, **types),
        thresholds("s", "clip", "y", (wide, total), clip),
        *(thresholds("y", "zero", f"z{i}", (total, "BINARY"), np.zeros((1, 1))) for i in range(signs)),
    ]
    sinks = ["y", *(f"z{i}" for i in range(signs))]
    model = make(nodes, dict.fromkeys(["x", "b", "s", *sinks], SHAPE), "x", *sinks)
    model.graph.input.append(helper.make_tensor_value_info("r", 1, SHAPE))
    for name, values in (("levels", levels), ("clip", clip), ("zero", np.zeros((1, 1)))):
        model.set_initializer(name, values.astype(np.float32))
        model.set_tensor_datatype(name, DataType["INT16"])
    named = {"x": "UINT8", "r": residual, "b": branch, "s": wide, "y": total}
    for name, datatype in (named | {f"z{i}": "BINARY" for i in range(signs)}).items():
        model.set_tensor_datatype(name, DataType[datatype])
    return model


@pytest.mark.parametrize(
    ("bits", "residual", "total"), [(5, "INT4", "INT4"), (7, "INT6", "INT6"), (3, "INT2", "INT2"), (9, "INT8", "INT8")]
)
@pytest.mark.parametrize("signs", [1, 2])
def test_the_join_says_the_same(bits: int, residual: str, total: str, signs: int) -> None:
    register()
    model = join(batch_norm(1, bits, 255), residual, total, signs=signs)
    rng = np.random.default_rng(2)
    lowest, highest = DataType[residual].min(), DataType[residual].max()
    inputs = {
        "x": rng.integers(0, 256, SHAPE).astype(np.float32),
        "r": rng.integers(lowest, highest + 1, SHAPE).astype(np.float32),
    }
    expected = execute_onnx(model, inputs)
    fused, _ = FuseResidualJoins().apply(ModelWrapper(model.model, make_deepcopy=True))
    # A second sign, of which no network has one, stays a node of its own.
    assert [node.op_type for node in fused.graph.node] == ["ResidualJoin_rtl", "Thresholding"][:signs]
    assert list(fused.graph.node[0].input) == ["x", "r"]
    for name, values in execute_onnx(fused, inputs).items():
        np.testing.assert_array_equal(values, expected[name])


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.integers(2, 9), largest=st.integers(1, 600))
def test_thresholds_of_a_batch_norm_lie_on_a_line(seed: int, bits: int, largest: int) -> None:
    levels = batch_norm(seed, bits, largest, channels=3).astype(np.int64)
    bias = -(2 ** (bits - 1))
    line = affine(levels, bias, largest)
    assert line is not None
    counts = np.arange(largest + 1)
    for row, factor, offset in zip(levels, line.factors, line.offsets, strict=True):
        reached = bias + np.searchsorted(row, counts, side="right")
        whole = (factor * counts + offset) >> line.shift
        np.testing.assert_array_equal(np.clip(whole, bias, bias + levels.shape[1]), reached)


def test_thresholds_on_no_line_stay() -> None:
    levels = batch_norm(1, 5, COUNTS)
    levels[2, 16:] += 9  # a jump that no line makes
    model = join(np.sort(levels, axis=1), "INT4", "INT4")
    fused, _ = FuseResidualJoins().apply(model)
    assert [node.op_type for node in fused.graph.node] == [
        "Thresholding",
        "ElementwiseAdd",
        "Thresholding",
        "Thresholding",
    ]


def test_a_branch_too_narrow_for_one_clip_stays() -> None:
    """INT3 and INT4: 3 + -8 is not what a branch that goes on would give."""
    model = join(batch_norm(1, 3, 255), "INT4", "INT4")
    fused, _ = FuseResidualJoins().apply(model)
    assert fused.graph.node[0].op_type == "Thresholding"


def test_a_clip_that_does_more_stays() -> None:
    model = join(batch_norm(1, 5, 255), "INT4", "INT4", clip=2 * identity(4))
    fused, _ = FuseResidualJoins().apply(model)
    assert fused.graph.node[0].op_type == "Thresholding"


@pytest.mark.parametrize("change", ["factors", "offsets"])
def test_the_proof_sees_a_wrong_line(change: str) -> None:
    levels = batch_norm(1, 5, COUNTS).astype(np.int64)
    line = affine(levels, -16, COUNTS)
    assert line is not None
    rows, four = [(levels, -16), (np.broadcast_to(identity(4), (4, 15)).astype(np.int64), -8)], DataType["INT4"]
    assert same(line, rows, COUNTS, four, four)
    getattr(line, change)[1] += 1 << line.shift
    assert not same(line, rows, COUNTS, four, four)


def test_the_node_says_which_layer_it_is_of() -> None:
    model = join(batch_norm(1, 5, 255), "INT4", "INT4")
    model.graph.node[2].doc_string = "layer1.0.add1"
    fused, _ = FuseResidualJoins().apply(model)
    assert fused.graph.node[0].doc_string == "layer1.0.add1"
    assert getHWCustomOp(fused.graph.node[0]).get_nodeattr("Shift") > 0
