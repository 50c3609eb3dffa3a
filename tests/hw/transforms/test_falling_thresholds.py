# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hw.errors import MappingError
from hw.transforms.falling_thresholds import ComplementFallingThresholds
from tests.hw.transforms.graphs import make, multi_threshold, unchanged

SHAPE = (1, 3, 2, 20)
SIGNS = np.array([1, -1, -1], np.float32).reshape(1, 3, 1, 1)


def graph(levels: np.ndarray, datatype: str, bias: float, signs: np.ndarray = SIGNS) -> ModelWrapper:
    nodes = [helper.make_node("Mul", ["x", "signs"], ["s"]), multi_threshold("s", "levels", "y", datatype, bias)]
    model = make(nodes, dict.fromkeys("xsy", SHAPE), "x", "y")
    model.set_initializer("signs", signs)
    model.set_initializer("levels", levels.astype(np.float32))
    model.set_tensor_datatype("x", DataType["INT8"])
    model.set_tensor_datatype("y", DataType[datatype])
    return model


@pytest.mark.parametrize(("datatype", "bias", "rows"), [("INT4", -8, 3), ("BINARY", 0, 3), ("INT2", -2, 1)])
def test_complements_of_rising_thresholds_fall(datatype: str, bias: float, rows: int) -> None:
    steps = 2 ** DataType[datatype].bitwidth() - 1
    levels = np.sort(np.random.default_rng(0).integers(-20, 20, (rows, steps)), axis=1)
    model = graph(levels, datatype, bias)
    x = np.tile(np.arange(-20, 20, dtype=np.float32).reshape(1, 1, 2, 20), (1, 3, 1, 1))
    expected = execute_onnx(model, {"x": x})["y"]
    complemented, changed = ComplementFallingThresholds().apply(model)
    assert changed
    xor = "ElementwiseXor" if datatype == "BINARY" else "ElementwiseBitwiseXor"
    kinds = ["MultiThreshold", "Transpose", xor, "Transpose"]
    assert [node.op_type for node in complemented.graph.node] == kinds
    assert np.array_equal(execute_onnx(complemented, {"x": x})["y"], expected)
    assert unchanged(complemented, ComplementFallingThresholds())


def test_other_factors_stay() -> None:
    assert unchanged(graph(np.zeros((3, 1)), "BINARY", 0, 2 * SIGNS), ComplementFallingThresholds())


def test_a_narrow_range_has_no_complement() -> None:
    with pytest.raises(MappingError, match="14 thresholds are not all steps of INT4"):
        ComplementFallingThresholds().apply(graph(np.zeros((3, 14)), "INT4", -7))
