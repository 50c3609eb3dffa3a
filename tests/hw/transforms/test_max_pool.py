# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hw.transforms.max_pool import LiftPaddedMaxPool
from tests.hw.transforms.graphs import make, unchanged

SHAPE = (1, 3, 6, 6)


def pool(source: str, sink: str, pad: int) -> Any:
    return helper.make_node(
        "MaxPool", [source], [sink], kernel_shape=[3, 3], strides=[3 - 2 * pad + pad] * 2, pads=[pad] * 4
    )


def padded_pool(datatype: str = "INT4", pad: int = 1) -> ModelWrapper:
    size = 3 if pad else 2
    model = make([pool("x", "y", pad)], {"x": SHAPE, "y": (1, 3, size, size)}, "x", "y")
    for name in "xy":
        model.set_tensor_datatype(name, DataType[datatype])
    return model


@pytest.mark.parametrize("datatype", ["INT4", "INT2"])
def test_padded_pools_read_unsigned_values(datatype: str) -> None:
    kind = DataType[datatype]
    # All values negative: padding with zero would win at the border.
    x = np.random.default_rng(0).integers(kind.min(), 0, SHAPE).astype(np.float32)
    model = padded_pool(datatype)
    expected = execute_onnx(model, {"x": x})["y"]
    lifted, changed = LiftPaddedMaxPool().apply(model)
    assert changed
    assert [node.op_type for node in lifted.graph.node] == ["MultiThreshold", "MaxPool", "MultiThreshold"]
    assert lifted.get_tensor_datatype(lifted.graph.node[1].input[0]) == DataType[f"U{datatype}"]
    context = execute_onnx(lifted, {"x": x}, return_full_exec_context=True)
    assert np.array_equal(context["y"], expected)
    assert context[lifted.graph.node[1].input[0]].min() == 0
    assert unchanged(lifted, LiftPaddedMaxPool())


@pytest.mark.parametrize(("datatype", "pad"), [("INT4", 0), ("UINT4", 1), ("FLOAT32", 1)])
def test_other_pools_stay(datatype: str, pad: int) -> None:
    assert unchanged(padded_pool(datatype, pad), LiftPaddedMaxPool())
