# SPDX-License-Identifier: Apache-2.0
"""PReLU and quantiser as thresholds: no float32 gives another integer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hw.transforms.prelu_thresholds import FAR, AbsorbPReluIntoThresholds, Quantiser, staircase
from tests.hw.transforms.graphs import make, unchanged

# A quarter, PReLU's first value, and a half put whole numbers on the halves between two integers.
SLOPES = np.array([0.25, 0.5, 0.0, 1.0, 1.5, 0.01, 0.3, 0.7], np.float32)
SHAPE = (1, len(SLOPES), 1, 400)


def graph(slopes: np.ndarray = SLOPES, zero: float = 0.0, **attributes: Any) -> ModelWrapper:
    options = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    nodes = [
        helper.make_node("PRelu", ["x", "slopes"], ["p"], name="prelu"),
        helper.make_node("Quant", ["p", "scale", "zero", "bits"], ["y"], domain="qonnx.custom_op.general", **options),
    ]
    model = make(nodes, dict.fromkeys("xpy", SHAPE), "x", "y")
    model.set_initializer("slopes", slopes.reshape(-1, 1, 1))
    for name, value in {"scale": 0.125, "zero": zero, "bits": 4.0}.items():
        model.set_initializer(name, np.array(value, np.float32))
    return model


def inputs() -> np.ndarray:
    """Sums of a join, multiples of 1/8, and real numbers."""
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    x[..., :100] = np.arange(-50, 50) / 8
    return x


@pytest.mark.parametrize("narrow", [0, 1])
def test_thresholds_give_what_prelu_and_quantiser_give(narrow: int) -> None:
    model, x = graph(narrow=narrow), inputs()
    expected = execute_onnx(model, {"x": x})["y"]
    absorbed, changed = AbsorbPReluIntoThresholds().apply(model)
    assert changed
    assert [node.op_type for node in absorbed.graph.node] == ["MultiThreshold", "Mul"]
    assert np.array_equal(execute_onnx(absorbed, {"x": x})["y"], expected)
    assert unchanged(absorbed, AbsorbPReluIntoThresholds())


def test_a_threshold_is_the_least_float_that_reaches_the_integer() -> None:
    quantiser = Quantiser(np.float32(0.125), -8, 7)
    found = staircase(SLOPES, quantiser)
    assert (np.diff(found, axis=1) >= 0).all()
    for levels, slope in zip(found, SLOPES, strict=True):
        finite = levels[levels != -FAR]
        assert len(finite) == (15 if slope else 7)
        for values, reached in ((finite, True), (np.nextafter(finite, np.float32(-np.inf)), False)):
            result = quantiser.levels(np.where(values < 0, slope * values, values))
            wanted = np.arange(8 - len(finite), 8)
            assert ((result >= wanted) == reached).all()


def test_halves_round_to_even() -> None:
    """A slope of 1/4: -6/8 becomes -1.5 steps, which is -2; FINN's own thresholds would give -1."""
    (levels,) = staircase(SLOPES[:1], Quantiser(np.float32(0.125), -8, 7))
    reached = int((np.float32(-6 / 8) >= levels).sum()) - 8
    assert reached == -2


def test_a_falling_staircase_is_refused() -> None:
    slopes = SLOPES.copy()
    slopes[3] = -0.25
    with pytest.raises(ValueError, match=r"prelu: slope -0\.25 of channel 3 is negative"):
        AbsorbPReluIntoThresholds().apply(graph(slopes))


@pytest.mark.parametrize("other", [{"rounding_mode": "FLOOR"}, {"signed": 0}, {"zero": 1.0}])
def test_other_quantisers_stay(other: dict[str, Any]) -> None:
    assert unchanged(graph(**other), AbsorbPReluIntoThresholds())
