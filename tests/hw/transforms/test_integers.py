# SPDX-License-Identifier: Apache-2.0
"""A graph on integers gives what the given graph gives, and what has no integers is refused with its layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from hw.errors import MappingError
from hw.transforms.integers import integerise
from hw.transforms.streamline import streamline

SHAPE = (1, 2, 4, 4)
# A quarter and a half put whole numbers on the halves between two integers, which round to even.
SLOPES = "float[2,1,1] slopes = {0.25, 0.5}"
CONSTANTS = f"""
    float one = {{1.0}}, float two = {{2.0}}, float zero = {{0.0}}, float bits = {{4.0}}, float many = {{16.0}},
    float wide = {{8.0}}, float step = {{3.0}}, float third = {{0.3}}, {SLOPES}, float[2,1,1] falling = {{0.1, -0.25}},
    float[1,2,4,4] pixels = {{{", ".join(str(float(n)) for n in range(32))}}},
    float[2,2,1,1] slope_kernels = {{0.1, 0.2, 0.3, 0.4}},
    float minus = {{-1.0}}, int64[8] around = {{0, 0, 1, 1, 0, 0, 1, 1}},
    float[2,2,3,3] signs = {{{", ".join("1.0" if n % 3 else "-1.0" for n in range(36))}}}
"""


def given(text: str, kind: str = "INT8", size: int = 4) -> ModelWrapper:
    """A graph from x to y, (1, 2, size, size), on the constants above; every operator is its own layer."""
    header = '<ir_version: 8, opset_import: ["": 17, "qonnx.custom_op.general": 1]>'
    proto = onnx.parser.parse_model(
        f"{header} g (float[1,2,{size},{size}] x) => (float[1,2,N,M] y) <{CONSTANTS}> {{ {text} }}"
    )
    for node in proto.graph.node:
        node.doc_string = f"layer.{node.output[0]}"
    model = cleanup_model(ModelWrapper(proto))
    model.set_tensor_datatype(model.graph.input[0].name, DataType[kind])
    return model


def quant(source: str, sink: str, scale: str = "one", bits: str = "bits", signed: int = 1) -> str:
    attributes = f'signed: int = {signed}, narrow: int = 0, rounding_mode: string = "ROUND"'
    return f"{sink} = qonnx.custom_op.general.Quant <{attributes}> ({source}, {scale}, zero, {bits})"


def run(model: ModelWrapper, x: NDArray[Any]) -> NDArray[np.float32]:
    (source,), (sink,) = model.graph.input, model.graph.output
    result: NDArray[np.float32] = execute_onnx(model, {source.name: x.astype(np.float32)})[sink.name]
    return result


def every_integer(size: int) -> NDArray[np.int64]:
    return np.resize(np.arange(-128, 128), (1, 2, size, size))


@pytest.mark.parametrize(
    "text",
    [
        f"p = PRelu (x, slopes) {quant('p', 'y')}",
        f"p = PRelu (x, slopes) {quant('p', 'q', 'step')} r = Relu (q) {quant('r', 'y', 'third', 'wide', 0)}",
        f"m = Mul (x, third) n = Sub (two, m) {quant('n', 'y')}",  # falls
        f"{quant('x', 'q', 'two')} {quant('q', 'r', 'two')} s = Add (q, r) t = Relu (s) {quant('t', 'y', 'third')}",
        f"s = qonnx.custom_op.general.BipolarQuant (x, third) {quant('s', 'y')}",
    ],
    ids=["prelu", "quantisers", "falling", "sum", "sign"],
)
def test_every_integer_goes_where_the_given_graph_takes_it(text: str) -> None:
    model, x = given(text, size=16), every_integer(16)
    found = integerise(model)
    assert np.array_equal(run(found, x), run(model, x))
    assert {"MultiThreshold", "Mul"} <= {node.op_type for node in found.graph.node}


def test_a_scale_of_255_pixels_becomes_thresholds_of_whole_pixels() -> None:
    model = given(f"p = Mul (x, third) {quant('p', 'y')}", "UINT8", 16)
    x = np.arange(512).reshape(1, 2, 16, 16) % 256
    assert np.array_equal(run(integerise(model), x), run(model, x))


@pytest.mark.parametrize(("mode", "pools"), [("FLOOR", ["QuantAvgPool2d"]), ("ROUND", [])])
def test_two_equal_roundings_of_a_pool_are_one(mode: str, pools: list[str]) -> None:
    trunc = f'qonnx.custom_op.general.Trunc <rounding_mode: string = "{mode}"> (m, one, zero, wide, bits)'
    pool = "p = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (q)"
    text = f"{quant('x', 'q')} {pool} m = Mul (p, many) a = {trunc} b = {trunc} y = Add (a, b)"
    model, x = given(text, size=16), np.random.default_rng(0).integers(-8, 8, (1, 2, 16, 16))
    found = integerise(model)
    assert np.array_equal(run(found, x), run(model, x))
    assert [node.op_type for node in found.graph.node if node.op_type.startswith("Quant")] == pools


def conv(source: str, sink: str, weights: str = "signs", kernel: int = 3, pad: int = 0) -> str:
    return f"{sink} = Conv <kernel_shape = {[kernel] * 2}, pads = {[pad] * 4}> ({source}, {weights})"


SIGN = "s = qonnx.custom_op.general.BipolarQuant (x, one)"
FALL = "m = Mul (c, falling)"
COUNTED = {
    "rising": f"{conv('s', 'c')} {quant('c', 'y')}",
    "falling": f"{conv('s', 'c')} {FALL} {quant('m', 'y')}",
    "padded": f"t = Pad (s, around, minus) {conv('t', 'c')} {quant('c', 'y')}",
    "two": f"{conv('s', 'c')} {FALL} {quant('m', 'q')} {conv('s', 'd')} {quant('d', 'r')} y = Add (q, r)",
    "fork": f"{conv('s', 'c')} {FALL} {quant('m', 'q')} {quant('c', 'r')} y = Add (q, r)",
    "pool": f"{conv('s', 'c')} {FALL} p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (m) {quant('p', 'y')}",
    "last": f"{conv('s', 'c')} y = Mul (c, minus)",
}


@pytest.mark.parametrize("case", COUNTED)
def test_products_of_signs_count(case: str) -> None:
    model, x = given(f"{SIGN} {COUNTED[case]}", size=16), every_integer(16)
    found = streamline(model)
    assert np.array_equal(run(found, x), run(model, x))
    assert {n.op_type for n in found.graph.node if n.op_type.endswith("MatMul")} == {"XnorPopcountMatMul"}
    # weights take the signs of what falls, where nothing else reads the product
    assert len(found.get_nodes_by_op_type("ElementwiseBitwiseXor")) == (case == "fork")


def test_weights_take_the_signs_of_what_falls() -> None:
    model, x = given(f"{quant('x', 'q')} {conv('q', 'c')} {FALL} {quant('m', 'y')}", size=16), every_integer(16)
    found = streamline(model)
    assert np.array_equal(run(found, x), run(model, x))
    assert {"MatMul", "MultiThreshold"} <= {node.op_type for node in found.graph.node}
    assert not found.get_nodes_by_op_type("ElementwiseBitwiseXor")


REFUSED = {
    f"{quant('x', 'q')} {quant('x', 'r', 'two')} y = Add (q, r)": "layer.y .*its inputs have unequal scales: 1 and 2; ",
    "p = PRelu (x, falling) " + quant("p", "y"): r"layer.p .*its slope is negative \(-0.25 in channel 1\); keep ",
    quant("x", "y", bits="many"): "layer.y .*it has 16 bits; quantise activations to 10 bits at most",
    quant("x", "y", scale="slopes"): "layer.y .*its scale is not one positive number; quantise ",
    "y = Softmax (x)": "layer.y .*Softmax has no hardware; leave it out of the export",
    "y = Sigmoid (x)": "layer.y .*the network ends in it; leave it out",
    "y = Mul (x, pixels)": "layer.y .*its constants differ from pixel to pixel; use one a channel",
    f"{SIGN} {conv('s', 'y', pad=1)}": "layer.y .*it pads signs with zeros",
    f"a = Add (x, one) {conv('a', 'y')}": "layer.y .*its input is not a multiple of one scale; put a quantiser ",
    conv("x", "y", "slope_kernels", 1): "layer.y .*its weights are not quantised; give ",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_integers_is_refused_with_layer_reason_and_advice(text: str) -> None:
    with pytest.raises(MappingError, match=REFUSED[text]):
        integerise(given(text))
