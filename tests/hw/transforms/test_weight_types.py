# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth
from finn.util.basic import getHWCustomOp
from qonnx.core.modelwrapper import ModelWrapper

from hw.transforms.weight_types import MinimizeWeightTypes
from tests.hw.ops.nodes import one_node


def thresholds(rows: list[list[int]]) -> ModelWrapper:
    values = np.array(rows)
    return one_node(
        "Thresholding",
        {"in": ((1, 2, 2, len(rows)), "INT5")},
        {"out": ((1, 2, 2, len(rows)), "UINT2")},
        (values, "INT32"),
        NumChannels=len(rows),
        PE=1,
        numSteps=values.shape[1],
        inputDataType="INT5",
        weightDataType="INT32",
        outputDataType="UINT2",
        ActVal=0,
        numInputVectors=[1, 2, 2],
    )


@pytest.mark.parametrize(
    ("rows", "datatype"),
    [([[-1, 0], [0, 0]], "INT2"), ([[-1, -1]], "INT2"), ([[-1, 1]], "INT2"), ([[-9, 3]], "INT5"), ([[0, 6]], "INT4")],
)
def test_thresholds_fit_their_type(rows: list[list[int]], datatype: str) -> None:
    model = thresholds(rows).transform(MinimizeWeightTypes())
    assert getHWCustomOp(model.graph.node[0]).get_nodeattr("weightDataType") == datatype
    assert model.get_tensor_datatype("weights").name == datatype


def test_finn_does_not_see_to_it() -> None:
    """If this passes no more, MinimizeWeightTypes is not needed any longer."""
    model = thresholds([[-1, -1]]).transform(MinimizeWeightBitWidth())
    assert model.get_tensor_datatype("weights").name == "BIPOLAR"
