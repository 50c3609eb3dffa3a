# SPDX-License-Identifier: Apache-2.0
"""The RTL operators of FINN that no network here uses, on Verilator: what FINN can generate, it can simulate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from finn.core.onnx_exec import execute_onnx
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.util.basic import getHWCustomOp
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from hw import finn_env
from tests.hw.rtlsim.finn_nodes import (
    PART,
    VERSAL,
    Array,
    check_node,
    execute,
    node_model,
    prepare,
    random_inputs,
    random_values,
)

LATENCY = 40
"""Cycles that FINN's estimates may leave out."""


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))


def crop() -> ModelWrapper:
    return node_model(
        "Crop_rtl", (1, 5, 6, 4), (1, 3, 3, 4), "INT4", "INT4", DataType="INT4", ImgDim=[5, 6], NumChannels=4,
        CropNorth=1, CropSouth=1, CropWest=1, CropEast=2, SIMD=2, numInputVectors=[1],
    )  # fmt: skip


def token_padding(left: int, right: int) -> ModelWrapper:
    constants = {
        side: (random_values("INT4", (1, max(count, 1), 4), count), "INT4")
        for side, count in (("left", left), ("right", right))
    }
    return node_model(
        "Pad1D_rtl", (1, 5, 4), (1, 5 + left + right, 4), "INT4", "INT4", constants,
        NumTokens=5, NumChannels=4, PadLeft=left, PadRight=right, SIMD=2, inputDataType="INT4", outputDataType="INT4",
    )  # fmt: skip


def token() -> ModelWrapper:
    return node_model(
        "SelectToken_rtl", (1, 5, 4), (1, 4), "INT4", "INT4",
        NumTokens=5, NumChannels=4, TokenIndex=2, SIMD=2, inputDataType="INT4", outputDataType="INT4",
    )  # fmt: skip


def transposition(rows: int, columns: int, simd: int) -> ModelWrapper:
    shape = (2, rows, columns)
    return node_model(
        "InnerShuffle_rtl", shape, (2, columns, rows), "INT4", "INT4",
        data_type="INT4", in_shape=shape, transpose_in_shape=shape, SIMD=simd,
    )  # fmt: skip


def choice() -> ModelWrapper:
    """Three inputs of three shapes, of which two are broadcast."""
    shapes: dict[str, Any] = {"Shape": [2, 3, 4], "CondShape": [2, 3, 1], "XShape": [2, 3, 4], "YShape": [4]}
    return node_model(
        "HWWhere_rtl", (2, 3, 1), (2, 3, 4), "BINARY", "INT4",
        streams={"x": ((2, 3, 4), "INT4"), "y": ((4,), "INT4")},
        CondRank=3, XRank=3, YRank=1, PE=2, inputDataType="INT4", outputDataType="INT4", **shapes,
    )  # fmt: skip


def requantisation(mem_mode: str, given: str, taken: str = "INT8") -> ModelWrapper:
    constants = {"scale": ([0.0625, 0.125, 0.25, 0.03125], "FLOAT32"), "bias": ([1.5, -2, 0.25, 3], "FLOAT32")}
    return node_model(
        "Requant_rtl", (1, 3, 3, 4), (1, 3, 3, 4), taken, given, constants,
        PE=2, NumChannels=4, inputDataType=taken, outputDataType=given, numInputVectors=[1, 3, 3], mem_mode=mem_mode,
    )  # fmt: skip


def elementwise(op: str, left: str, right: str, given: str = "FLOAT32", *, constant: bool = False) -> ModelWrapper:
    shapes: dict[str, Any] = {
        "lhs_shape": [1, 3, 4],
        "rhs_shape": [4] if constant else [1, 3, 4],
        "out_shape": [1, 3, 4],
    }
    return node_model(
        f"Elementwise{op}_rtl", (1, 3, 4), (1, 3, 4), left, given,
        {"other": (random_values(right, (4,)), right)} if constant else None,
        streams=None if constant else {"other": ((1, 3, 4), right)},
        lhs_dtype=left, rhs_dtype=right, out_dtype=given, rhs_style="const" if constant else "input", PE=2, **shapes,
    )  # fmt: skip


def polynomial(function: str) -> ModelWrapper:
    return node_model(
        "PWPolyF_rtl", (1, 6, 4), (1, 6, 4), "FLOAT32", "FLOAT32", func=function, PE=2, NumChannels=4,
        inputDataType="FLOAT32", outputDataType="FLOAT32", numInputVectors=[1, 6],
    )  # fmt: skip


def product(bits: int, taken: str, *, vectors: list[int], **more: Any) -> ModelWrapper:
    weights, kind = random_values(f"INT{bits}", (12, 4), 3), f"INT{bits}"
    return node_model(
        "MVAU_rtl", (*vectors, 12), (*vectors, 4), taken, "INT24", {"weights": (weights, kind)},
        MW=12, MH=4, PE=2, SIMD=4, noActivation=1, binaryXnorMode=0, numInputVectors=vectors, inputDataType=taken,
        weightDataType=kind, outputDataType="INT24", accDataType="INT24", **more,
    )  # fmt: skip


def depthwise_product(pe: int, simd: int, mem_mode: str) -> ModelWrapper:
    return node_model(
        "VVAU_rtl", (1, 4, 4, 36), (1, 4, 4, 4), "INT4", "INT16",
        {"weights": (random_values("INT4", (4, 1, 3, 3), 3), "INT4")}, PE=pe, SIMD=simd, Dim=[4, 4], Channels=4,
        Kernel=[3, 3], resType="dsp", noActivation=1, inputDataType="INT4", weightDataType="INT4",
        outputDataType="INT16", accDataType="INT16", mem_mode=mem_mode,
    )  # fmt: skip


EXACT: dict[str, tuple[Callable[[], ModelWrapper], str]] = {
    "crop": (crop, PART),
    "padding of tokens, one side": (lambda: token_padding(0, 2), PART),
    "padding of tokens, both sides": (lambda: token_padding(1, 2), PART),
    "one token": (token, PART),
    "transposition": (lambda: transposition(6, 8, 2), PART),
    "transposition, one by one": (lambda: transposition(3, 5, 1), PART),
    "choice": (choice, PART),
    "requantisation": (lambda: requantisation("internal_embedded", "UINT4"), PART),
    "requantisation of many bits": (lambda: requantisation("internal_embedded", "INT4", "INT20"), PART),
    "requantisation, parameters streamed": (lambda: requantisation("internal_decoupled", "INT4"), VERSAL),
    "sum of integers": (lambda: elementwise("Add", "INT4", "INT4", "INT5"), PART),
    "product with a constant": (lambda: elementwise("Mul", "FLOAT32", "FLOAT32", constant=True), VERSAL),
    "difference of floats": (lambda: elementwise("Sub", "FLOAT32", "FLOAT32"), VERSAL),
    "product of an integer and a float": (lambda: elementwise("Mul", "INT8", "FLOAT32"), VERSAL),
    "GELU": (lambda: polynomial("gelu"), VERSAL),
    "depthwise product": (lambda: depthwise_product(2, 3, "internal_decoupled"), VERSAL),
    "depthwise product, all at once": (lambda: depthwise_product(4, 9, "external"), VERSAL),
    "8-bit product on DSP58": (lambda: product(8, "INT8", vectors=[1, 3, 3], mem_mode="external"), VERSAL),
    "4-bit product, twice the clock": (lambda: product(4, "UINT4", vectors=[1, 3, 3], pumpedCompute=1), PART),
    "product of two inputs": (lambda: product(4, "INT4", vectors=[2, 3, 3], mem_mode="dynamic"), PART),
}


@pytest.mark.parametrize("name", EXACT)
def test_rtl_equals_python_whatever_happens(name: str) -> None:
    """Undisturbed, and then two frames back to back with stalls after a frame that a reset broke off."""
    build, part = EXACT[name]
    model = prepare(build(), part=part)
    node = model.graph.node[0]
    tensors = random_inputs(model)
    tensors[node.output[0]] = execute(model, "cppsim", tensors)
    result = check_node(model, node, tensors)
    assert result.difference is None, str(result.difference)
    assert result.expected_cycles * 0.9 - LATENCY <= result.cycles <= result.expected_cycles * 1.05 + LATENCY


def test_reshaping() -> None:
    """Wires: an output during reset is an input during reset."""
    shapes: dict[str, Any] = {"inp_shape": [1, 3, 8], "out_shape": [1, 6, 4]}
    model = prepare(node_model("Reshape_rtl", (1, 3, 8), (1, 6, 4), "INT4", "INT4", dtype="INT4", PE=2, **shapes))
    value = random_values("INT4", (1, 3, 8))
    np.testing.assert_array_equal(execute(model, "rtlsim", value), value.reshape(1, 6, 4))
    assert getHWCustomOp(model.graph.node[0]).get_nodeattr("cycles_rtlsim") == 12 + 2


def test_products_in_tiles() -> None:
    """Weights that serve four vectors each. FINN's estimate leaves out that they do."""
    model = prepare(product(8, "INT8", vectors=[1, 4, 4], TH=4), part=VERSAL)
    tensors = random_inputs(model)
    np.testing.assert_array_equal(execute(model, "rtlsim", tensors), execute(model, "cppsim", tensors))
    folds = 16 * 3 * 2
    assert folds <= getHWCustomOp(model.graph.node[0]).get_nodeattr("cycles_rtlsim") <= folds + LATENCY + 4 * 3 * 2


def test_normalisation() -> None:
    """The hardware takes one step of Newton's method from the well-known first guess at 1 / sqrt, and no epsilon."""
    shape, types = (1, 6, 8), {"inputDataType": "FLOAT32", "outputDataType": "FLOAT32"}
    model = node_model(
        "LayerNorm_rtl", shape, shape, "FLOAT32", "FLOAT32", SIMD=2, ifm_dim=shape, epsilon=1e-5, **types
    )
    model = prepare(model, part=VERSAL)
    value = random_values("FLOAT32", shape)
    centred = value - value.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    guess = (0x5F3759DF - (variance.view(np.uint32) >> 1)).view(np.float32)
    expected = centred * guess * (1.5 - 0.5 * variance * guess**2)
    rtl = execute(model, "rtlsim", value)
    np.testing.assert_allclose(rtl, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rtl, execute(model, "cppsim", value), atol=5e-3)


def test_softmax() -> None:
    """The hardware's exponential is piecewise a polynomial of degree 2."""
    shape = (1, 6, 8)
    model = node_model(
        "HWSoftmax_rtl", shape, shape, "INT4", "FLOAT32", SIMD=2, ifm_dim=shape, NumChannels=8, input_data_type="INT4"
    )
    model = prepare(model, part=VERSAL)
    value = random_values("INT4", shape)
    np.testing.assert_allclose(execute(model, "rtlsim", value), execute(model, "cppsim", value), atol=2e-3)


def test_a_removed_data_path() -> None:
    """FINN's stand-in for a part of a design: as many beats as it is given, all of them zero."""
    shape: dict[str, Any] = {"folded_shape": [1, 3, 4, 2], "normal_shape": [1, 3, 8]}
    model = prepare(node_model("RemoveDataPath_rtl", (1, 3, 8), (1, 3, 8), "INT4", "INT4", dataType="INT4", **shape))
    node = getHWCustomOp(model.graph.node[0])
    node.set_nodeattr("exec_mode", "rtlsim")
    context: dict[str, Array] = {model.graph.input[0].name: random_values("INT4", (1, 3, 8))}
    RTLBackend.execute_node(node, context, model.graph)
    np.testing.assert_array_equal(context[model.graph.output[0].name], np.zeros((1, 3, 8)))
    assert node.get_nodeattr("cycles_rtlsim") == 12 + 2


def test_a_graph_of_several_inputs_and_outputs() -> None:
    """Executed by FINN as a whole: a sum and a difference of two inputs, the sum transposed."""
    tensors = {"a": ([1, 4, 6], "INT4"), "b": ([1, 4, 6], "INT4"), "sum": ([1, 4, 6], "INT5")}
    results = {"turned": ([1, 6, 4], "INT5"), "difference": ([1, 4, 6], "INT5")}
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, (shape, _) in {**tensors, **results}.items()
    }
    common: dict[str, Any] = {"domain": "finn.custom_op.fpgadataflow.rtl", "backend": "fpgadataflow"}
    shapes = {f"{side}_shape": [1, 4, 6] for side in ("lhs", "rhs", "out")}
    types = {"lhs_dtype": "INT4", "rhs_dtype": "INT4", "out_dtype": "INT5"}
    nodes = [
        helper.make_node("ElementwiseAdd_rtl", ["a", "b"], ["sum"], name="add", PE=2, **shapes, **types, **common),
        helper.make_node(
            "ElementwiseSub_rtl", ["a", "b"], ["difference"], name="sub", PE=2, **shapes, **types, **common
        ),
        helper.make_node(
            "InnerShuffle_rtl", ["sum"], ["turned"], name="turn", SIMD=2, data_type="INT5",
            in_shape=[1, 4, 6], transpose_in_shape=[1, 4, 6], **common,
        ),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "graph", [infos["a"], infos["b"]], [infos["turned"], infos["difference"]], value_info=[infos["sum"]]
    )
    model = ModelWrapper(helper.make_model(graph))
    for name, (_, kind) in {**tensors, **results}.items():
        model.set_tensor_datatype(name, DataType[kind])
    model = prepare(model)
    for node in model.graph.node:
        getHWCustomOp(node).set_nodeattr("exec_mode", "rtlsim")
    values = random_inputs(model)
    a, b = values.values()
    turned, difference = execute_onnx(model, values).values()
    np.testing.assert_array_equal(turned, np.swapaxes(a + b, 1, 2))
    np.testing.assert_array_equal(difference, a - b)
