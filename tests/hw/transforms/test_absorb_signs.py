# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hw.transforms.absorb_signs import AbsorbSignsIntoWeights
from tests.hw.transforms.graphs import make, unchanged

SIGNS = np.array([1, -1, 1, -1], np.float32)


def product(op_type: str, factors: np.ndarray, weight_type: str = "INT3", factor_type: str = "BIPOLAR") -> ModelWrapper:
    """A product with four outputs, and a multiplication behind it."""
    if op_type == "Conv":
        source, sink, weights = (1, 3, 4, 4), (1, 4, 2, 2), (4, 3, 3, 3)
    else:
        source, sink, weights = (1, 3), (1, 4), (3, 4)
    nodes = [helper.make_node(op_type, ["x", "w"], ["p"]), helper.make_node("Mul", ["p", "f"], ["y"])]
    model = make(nodes, {"x": source, "p": sink, "y": sink}, "x", "y")
    model.set_initializer("w", np.random.default_rng(0).choice([-3.0, -1.0, 0.0, 2.0], weights).astype(np.float32))
    model.set_initializer("f", factors)
    model.set_tensor_datatype("w", DataType[weight_type])
    model.set_tensor_datatype("f", DataType[factor_type])
    return model


@pytest.mark.parametrize("factors", [SIGNS, np.array([-1], np.float32), np.array(-1, np.float32)])
@pytest.mark.parametrize("op_type", ["Conv", "MatMul"])
def test_signs_become_those_of_the_weights(op_type: str, factors: np.ndarray) -> None:
    if op_type == "Conv" and factors.size > 1:
        factors = factors.reshape(1, 4, 1, 1)
    model = product(op_type, factors)
    x = np.random.default_rng(1).integers(-8, 8, model.get_tensor_shape("x")).astype(np.float32)
    expected = execute_onnx(model, {"x": x})["y"]
    absorbed, changed = AbsorbSignsIntoWeights().apply(model)
    assert changed
    assert [node.op_type for node in absorbed.graph.node] == [op_type]
    assert np.array_equal(execute_onnx(absorbed, {"x": x})["y"], expected)
    assert unchanged(absorbed, AbsorbSignsIntoWeights())


@pytest.mark.parametrize("types", [("INT3", "INT2"), ("UINT3", "BIPOLAR")])
def test_other_factors_stay(types: tuple[str, str]) -> None:
    """Factors of more bits, and signs that the weights' type cannot take."""
    assert unchanged(product("MatMul", SIGNS, *types), AbsorbSignsIntoWeights())
