# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper

from hw.transforms.merge_equal import MergeEqualTruncs
from tests.hw.transforms.graphs import make, unchanged


def two_truncs(bits: float) -> ModelWrapper:
    """Two Truncs of one tensor, to 4 and to `bits` bits, each with tensors of its own for what is equal."""
    nodes = []
    for name in "ab":
        constants = [f"{name}_{part}" for part in ("scale", "zero", "in", "out_scale", "out")]
        nodes.append(
            helper.make_node(
                "Trunc", ["x", *constants], [name], domain="qonnx.custom_op.general", rounding_mode="FLOOR"
            )
        )
    nodes.append(helper.make_node("Sub", ["a", "b"], ["y"]))
    model = make(nodes, dict.fromkeys("xaby", (1, 4)), "x", "y")
    for name, width in (("a", 4.0), ("b", bits)):
        for part, value in {"scale": 0.25, "zero": 0.0, "in": 6.0, "out_scale": 1.0, "out": width}.items():
            model.set_initializer(f"{name}_{part}", np.array(value, np.float32))
    return model


def test_equal_truncs_become_one() -> None:
    model, changed = MergeEqualTruncs().apply(two_truncs(4.0))
    assert changed
    assert [node.op_type for node in model.graph.node] == ["Trunc", "Sub"]
    assert list(model.graph.node[1].input) == ["a", "a"]
    assert unchanged(model, MergeEqualTruncs())


def test_other_truncs_stay() -> None:
    assert unchanged(two_truncs(3.0), MergeEqualTruncs())
