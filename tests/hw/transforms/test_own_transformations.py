# SPDX-License-Identifier: Apache-2.0
"""Each own transformation on a small graph that needs it, and on graphs that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.bipolar_to_xnor import ConvertBipolarMatMulToXnorPopcount

from hw.transforms.fold_padding import FoldPaddingIntoIm2Col
from hw.transforms.passes import InPlaceModel, apply, apply_until_stable
from hw.transforms.xnor_accumulator import SizeXnorAccumulators
from tests.hw.transforms.graphs import make, unchanged

SIZE, CHANNELS, KERNEL = 5, 3, 3


def im2col(source: str, out: str, size: int, **attributes: Any) -> Any:
    common = {"stride": [1, 1], "kernel_size": [KERNEL, KERNEL], "domain": "qonnx.custom_op.general"}
    return helper.make_node(
        "Im2Col", [source], [out], input_shape=f"(1,{size},{size},{CHANNELS})", **common, **attributes
    )


def padded_window(
    amounts: tuple[int, ...] = (0, 0, 1, 1, 0, 0, 1, 1),
    window_pad: tuple[int, ...] = (0, 0, 0, 0),
    second_reader: bool = False,
) -> ModelWrapper:
    """Pad -> Transpose -> Im2Col as the lowering of a padded bipolar convolution leaves it."""
    grown = SIZE + amounts[2] + amounts[6]
    channels = CHANNELS + amounts[1] + amounts[5]
    windows = grown + window_pad[0] + window_pad[2] - KERNEL + 1
    tensors = {
        "x": (1, CHANNELS, SIZE, SIZE),
        "p": (1, channels, grown, grown),
        "t": (1, grown, grown, channels),
        "y": (1, windows, windows, KERNEL**2 * channels),
        "z": (1, channels, grown, grown),
    }
    nodes = [
        helper.make_node("Pad", ["x", "amounts", "value"], ["p"], mode="constant"),
        helper.make_node("Transpose", ["p"], ["t"], perm=[0, 2, 3, 1]),
        im2col("t", "y", grown, pad_amount=list(window_pad)),
    ]
    sinks = ["y"]
    if second_reader:
        nodes.append(helper.make_node("Neg", ["p"], ["z"]))
        sinks.append("z")
    else:
        del tensors["z"]
    model = make(nodes, tensors, "x", *sinks)
    model.set_initializer("amounts", np.array(amounts, dtype=np.int64))
    model.set_initializer("value", np.array(-1, dtype=np.float32))
    for name in ("x", "p", "t", "y"):
        model.set_tensor_datatype(name, DataType["BIPOLAR"])
    return model


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-1.0, 1.0], shape).astype(np.float32)


@pytest.mark.parametrize("amounts", [(0, 0, 1, 1, 0, 0, 1, 1), (0, 0, 0, 2, 0, 0, 2, 0)])
def test_padding_moves_into_the_window_generator(amounts: tuple[int, ...]) -> None:
    model = padded_window(amounts)
    x = signs(np.random.default_rng(0), (1, CHANNELS, SIZE, SIZE))
    expected = execute_onnx(model, {"x": x})["y"]
    folded, changed = FoldPaddingIntoIm2Col().apply(model)
    assert changed
    assert [node.op_type for node in folded.graph.node] == ["Transpose", "Im2Col"]
    window = getCustomOp(folded.graph.node[1])
    assert list(window.get_nodeattr("pad_amount")) == [amounts[2], amounts[3], amounts[6], amounts[7]]
    assert window.get_nodeattr("pad_value") == -1
    assert np.array_equal(execute_onnx(folded, {"x": x})["y"], expected)
    assert unchanged(folded, FoldPaddingIntoIm2Col())


@pytest.mark.parametrize(
    "other",
    [
        {"amounts": (0, 1, 1, 1, 0, 0, 1, 1)},
        {"window_pad": (1, 1, 1, 1)},
        {"second_reader": True},
    ],
)
def test_other_padding_stays(other: dict[str, Any]) -> None:
    assert unchanged(padded_window(**other), FoldPaddingIntoIm2Col())


def binary_product() -> ModelWrapper:
    """Threshold -> Im2Col -> MatMul with bipolar values, channels last."""
    windows = SIZE - KERNEL + 1
    depth = KERNEL**2 * CHANNELS
    tensors = {
        "x": (1, SIZE, SIZE, CHANNELS),
        "s": (1, SIZE, SIZE, CHANNELS),
        "w": (1, windows, windows, depth),
        "y": (1, windows, windows, 4),
    }
    nodes = [
        helper.make_node(
            "MultiThreshold",
            ["x", "thresholds"],
            ["s"],
            domain="qonnx.custom_op.general",
            out_dtype="BIPOLAR",
            out_scale=2.0,
            out_bias=-1.0,
            data_layout="NHWC",
        ),
        im2col("s", "w", SIZE),
        helper.make_node("MatMul", ["w", "weights"], ["y"]),
    ]
    model = make(nodes, tensors, "x", "y")
    model.set_initializer("thresholds", np.zeros((1, 1), dtype=np.float32))
    model.set_initializer("weights", signs(np.random.default_rng(1), (depth, 4)))
    model.set_tensor_datatype("x", DataType["INT4"])
    for name in ("s", "w", "weights"):
        model.set_tensor_datatype(name, DataType["BIPOLAR"])
    return model


def matrix_unit(xnor: bool, inputs: int = 144, output: str = "INT8", no_activation: int = 1) -> ModelWrapper:
    names = ["x", "weights"] if no_activation else ["x", "weights", "thresholds"]
    datatype = "BINARY" if xnor else "INT4"
    node = helper.make_node(
        "MVAU",
        names,
        ["y"],
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        MW=inputs,
        MH=2,
        PE=1,
        SIMD=1,
        inputDataType=datatype,
        weightDataType=datatype,
        outputDataType=output,
        accDataType=output,
        binaryXnorMode=int(xnor),
        noActivation=no_activation,
        numInputVectors=[1],
    )
    model = make([node], {"x": (1, inputs), "y": (1, 2)}, "x", "y")
    model.set_initializer("weights", np.ones((inputs, 2), dtype=np.float32))
    return model


@pytest.mark.parametrize(("inputs", "popcount"), [(144, "UINT8"), (255, "UINT8"), (256, "UINT9"), (72, "UINT7")])
def test_xnor_accumulator_holds_every_popcount(inputs: int, popcount: str) -> None:
    model, changed = SizeXnorAccumulators().apply(matrix_unit(xnor=True, inputs=inputs))
    assert changed
    unit = getCustomOp(model.graph.node[0])
    assert unit.get_nodeattr("outputDataType") == unit.get_nodeattr("accDataType") == popcount
    assert model.get_tensor_datatype("y") == DataType[popcount]
    assert DataType[popcount].allowed(inputs)
    assert unchanged(model, SizeXnorAccumulators())


def test_other_accumulators_stay() -> None:
    assert unchanged(matrix_unit(xnor=False), SizeXnorAccumulators())
    assert unchanged(matrix_unit(xnor=True, no_activation=0), SizeXnorAccumulators())


class _Flip:
    """A transformation that never settles: it renames the output of every Neg there and back."""

    def apply(self, model: Any) -> tuple[Any, bool]:
        node = model.graph.node[0]
        node.op_type = "Abs" if node.op_type == "Neg" else "Neg"
        return model, False


def test_a_group_that_never_settles_is_reported() -> None:
    model = make([helper.make_node("Neg", ["x"], ["y"])], {"x": (1,), "y": (1,)}, "x", "y")
    with pytest.raises(RuntimeError, match="settle"):
        apply_until_stable(model, [_Flip])


def test_groups_work_in_place_on_nested_transformations() -> None:
    result = apply(binary_product(), ConvertBipolarMatMulToXnorPopcount())
    assert not isinstance(result, InPlaceModel)
    assert [n.op_type for n in result.graph.node] == ["MultiThreshold", "Im2Col", "XnorPopcountMatMul", "Mul", "Add"]
    assert all(result.get_tensor_shape(name) for node in result.graph.node for name in node.output)
