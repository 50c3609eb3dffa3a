# SPDX-License-Identifier: Apache-2.0
"""What is told when a graph does not give what it should."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError
from flows.steps.convert import Converted
from flows.steps.golden import check, integers
from hw import finn_env
from hw.transforms.verify import execute, tensors
from tests.hw.cppsim.graphs import classifier, images

WHOLE = np.array([[-3, 0, 7]], np.float32)


@pytest.fixture
def context(tmp_path: Path) -> Any:
    finn_env.setup(tmp_path / "finn")
    return SimpleNamespace(config=SimpleNamespace(output=tmp_path), log=tmp_path / "verify.log")


def test_the_first_node_that_differs_is_named(context: Any, tmp_path: Path) -> None:
    model, pictures = classifier(), images(3)
    broken = ModelWrapper(model.model, make_deepcopy=True)
    weights = broken.get_initializer("9.weights").copy()
    weights[:, [1, 2]] = weights[:, [2, 1]]
    broken.set_initializer("9.weights", weights)
    expected, found = execute(model, pictures), execute(broken, pictures)
    expected[0] = found[0]  # the first image happens to be right
    with pytest.raises(
        ToolError, match=r"'fold' is not exact: 2 of 3 images differ; MVAU_9 .*: image 1, .*channel 1"
    ) as e:
        check(
            context, "graph after 'fold'", broken, expected, found,
            walk=lambda number: (tensors(model, pictures[number]), tensors(broken, pictures[number])),
        )  # fmt: skip
    assert e.value.log == tmp_path / "report" / "difference.npz"
    with pytest.raises(ToolError, match=r"2 of 3 images differ; .*: image 1, .*channel"):
        check(context, "graph after 'convert'", broken, expected, found)
    check(context, "graph after 'convert'", model, expected, expected)


def test_another_shape_is_told(context: Any) -> None:
    with pytest.raises(ToolError, match=r"output of shape \(2, 3\) instead of \(2, 4\)"):
        check(context, "graph", None, np.zeros((2, 4)), np.zeros((2, 3)))


@pytest.mark.parametrize(("scale", "offset"), [(0.125, 0.0), (0.3, 0.0), (0.125, 0.1), ((0.25, 0.5, 0.3), 0.0)])
def test_integers_come_back(scale: float | tuple[float, ...], offset: float) -> None:
    outside = Converted(outside=("Mul",), scale=scale, offset=offset)
    assert np.array_equal(integers((WHOLE * np.asarray(scale) + offset).astype(np.float32), outside), WHOLE)


@pytest.mark.parametrize(("scale", "off"), [(0.125, 1e-6), ((0.125, 0.25, 1.0), 1e-6), (0.3, 0.3), (0.125, np.nan)])
def test_what_is_off_is_an_error(scale: float | tuple[float, ...], off: float) -> None:
    outside = Converted(outside=("Mul",), scale=scale)
    with pytest.raises(ToolError, match="do not turn the logits into integers"):
        integers(((WHOLE + np.float32(off)) * np.asarray(scale)).astype(np.float32), outside)
