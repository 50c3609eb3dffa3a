# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from hw.transforms.thresholds import check_thresholds, close_thresholds, threshold_margin


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


def test_margin_is_the_smallest_distance_from_an_integer() -> None:
    assert threshold_margin(thresholding([[-1.25, 0.5], [2.875, 3.5]])) == 0.125


@pytest.mark.parametrize("values", [[[-0.5, 0.5, 1.5]], [[0.0]], [[0.5, 1.5], [0.5, 1.5]]])
def test_saturations_and_signs_do_not_count(values: list[list[float]]) -> None:
    assert threshold_margin(thresholding(values)) == float("inf")


def test_thresholds_out_of_reach_do_not_count() -> None:
    assert threshold_margin(thresholding([[-9.01, 0.3], [0.25, 8.99]], "INT4")) == pytest.approx(0.25)


def test_close_thresholds_are_named() -> None:
    model = thresholding([[0.25, 70000.0078125], [0.25, 100.0078125]])
    (close,) = close_thresholds(model)
    assert (close.node, close.channel, close.step) == ("steps", 0, 1)
    assert close.distance == pytest.approx(0.0078125)


def test_rounded_thresholds_pass() -> None:
    check_thresholds(thresholding([[-3, 0, 0, 2], [1, 2, 3, 4]]))


@pytest.mark.parametrize(("values", "complaint"), [([[0, 1.5]], "no integer"), ([[0, 1], [3, 2]], "do not ascend")])
def test_wrong_thresholds_are_refused(values: list[list[float]], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"steps.*{complaint}"):
        check_thresholds(thresholding(values))
