# SPDX-License-Identifier: Apache-2.0
"""Every graph on the way to hardware nodes gives the golden integers of a small network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.ops.cell_op import GENERIC_DOMAIN
from hw.transforms.convert import ConversionError, convert
from hw.transforms.passes import tidy
from hw.transforms.streamline import streamline
from hw.transforms.thresholds import check_thresholds
from hw.transforms.verify import execute
from tests.hw.transforms.graphs import outside_partition

Export = tuple[ModelWrapper, dict[str, Any]]
Converted = tuple[ModelWrapper, ModelWrapper]


def scale_of(parent: ModelWrapper) -> np.float32:
    (mul,) = parent.get_nodes_by_op_type("Mul")
    return np.float32(parent.get_initializer(mul.input[1]).item())


def test_export_gives_the_golden_logits(exported: Export) -> None:
    model, golden = exported
    assert np.array_equal(execute(model, golden["images"]), golden["logits"])


def test_streamlined_graph_gives_the_golden_logits(exported: Export, streamlined: ModelWrapper) -> None:
    _, golden = exported
    assert np.array_equal(execute(streamlined, golden["images"]), golden["logits"])


def test_streamlined_graph_holds_integers_only(streamlined: ModelWrapper) -> None:
    *nodes, last = streamlined.graph.node
    assert last.op_type == "Mul"
    for node in nodes:
        for name in node.output:
            assert streamlined.get_tensor_datatype(name).is_integer(), f"{node.op_type} {name}"
    assert [n.op_type for n in streamlined.graph.node if n.op_type == "Transpose"] == ["Transpose"]


def test_streamline_leaves_its_argument_alone_and_is_repeatable(exported: Export, streamlined: ModelWrapper) -> None:
    model, _ = exported
    before = model.model.SerializeToString()
    again = streamline(model)
    assert model.model.SerializeToString() == before
    assert again.model.SerializeToString(deterministic=True) == streamlined.model.SerializeToString(deterministic=True)


def test_thresholds_are_whole(streamlined: ModelWrapper, converted: Converted) -> None:
    check_thresholds(streamlined)
    check_thresholds(converted[1])
    for node in converted[1].get_nodes_by_op_type("Thresholding"):
        assert converted[1].get_tensor_datatype(node.input[1]).is_integer()


def test_partition_gives_the_golden_integers(exported: Export, converted: Converted) -> None:
    _, golden = exported
    parent, partition = converted
    found = execute(partition, golden["images"])
    assert np.array_equal(found, np.rint(found))
    assert np.array_equal(found * scale_of(parent), golden["logits"])
    datatype = partition.get_tensor_datatype(partition.graph.output[0].name)
    assert all(datatype.allowed(value) for value in found.ravel())


def test_only_the_transpose_and_the_scale_stay_outside(converted: Converted) -> None:
    parent, partition = converted
    assert outside_partition(parent) == ["Transpose", "Mul"]
    assert all(node.domain.startswith(GENERIC_DOMAIN) for node in partition.graph.node)
    assert partition.get_tensor_datatype(partition.graph.input[0].name) == DataType["UINT8"]


def test_binary_units_count_agreeing_bits(converted: Converted) -> None:
    _, partition = converted
    units = [getCustomOp(n) for n in partition.get_nodes_by_op_type("MVAU")]
    binary = [unit for unit in units if unit.get_nodeattr("binaryXnorMode")]
    assert len(binary) == 6
    for unit in binary:
        assert unit.get_nodeattr("noActivation") == 1
        assert DataType[unit.get_nodeattr("outputDataType")].allowed(unit.get_nodeattr("MW"))
        assert not DataType[unit.get_nodeattr("outputDataType")].signed()


def test_label_select_gives_the_predictions(exported: Export, streamlined: ModelWrapper) -> None:
    _, golden = exported
    parent, partition = convert(streamlined, label_select=True)
    assert outside_partition(parent) == ["Transpose"]
    found = execute(partition, golden["images"]).ravel()
    assert np.array_equal(found, golden["logits"].argmax(1))


@pytest.mark.parametrize("kind", ["threshold", "weight"])
def test_a_planted_fault_is_seen(exported: Export, converted: Converted, kind: str) -> None:
    """The comparison can fail: one threshold one too high, one weight bit flipped."""
    _, golden = exported
    parent, partition = converted
    broken = ModelWrapper(partition.model, make_deepcopy=True)
    if kind == "threshold":
        name = broken.get_nodes_by_op_type("Thresholding")[0].input[1]
        values = broken.get_initializer(name).copy()
        values[0] += 2000  # accumulators of the stem span 18 bits
    else:
        node = next(n for n in broken.get_nodes_by_op_type("MVAU") if getCustomOp(n).get_nodeattr("binaryXnorMode"))
        name = node.input[1]
        values = broken.get_initializer(name).copy()
        values[:, 0] = 1 - values[:, 0]
    broken.set_initializer(name, values)
    found = execute(broken, golden["images"]) * scale_of(parent)
    assert not np.array_equal(found, golden["logits"])


def test_nodes_without_hardware_are_named(streamlined: ModelWrapper) -> None:
    model = ModelWrapper(streamlined.model, make_deepcopy=True)
    model.graph.node[-1].op_type = "Div"
    with pytest.raises(ConversionError, match="Div"):
        convert(tidy(model))


def test_images_of_another_shape_are_refused(converted: Converted) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        execute(converted[1], np.zeros((1, 3, 9, 9), dtype=np.uint8))
