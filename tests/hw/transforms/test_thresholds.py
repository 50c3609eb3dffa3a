# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from hw.transforms.thresholds import check_thresholds


def thresholding(values: list[list[float]], datatype: str = "INT32") -> ModelWrapper:
    channels = max(len(values), 2)
    source, sink = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, channels)) for n in "xy")
    node = helper.make_node(
        "MultiThreshold",
        ["x", "t"],
        ["y"],
        name="steps",
        domain="qonnx.custom_op.general",
        out_dtype="UINT4",
        data_layout="NC",
    )
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], "g", [source], [sink])))
    model.set_initializer("t", np.array(values, dtype=np.float32))
    model.set_tensor_datatype("x", DataType[datatype])
    return model


def test_rounded_thresholds_pass() -> None:
    check_thresholds(thresholding([[-3, 0, 0, 2], [1, 2, 3, 4]]))


@pytest.mark.parametrize(("values", "complaint"), [([[0, 1.5]], "no integer"), ([[0, 1], [3, 2]], "do not ascend")])
def test_wrong_thresholds_are_refused(values: list[list[float]], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"steps.*{complaint}"):
        check_thresholds(thresholding(values))
