# SPDX-License-Identifier: Apache-2.0
"""The comparison finds what is planted in a compiled program, at the node where it was planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw import finn_env
from hw.compare import difference, first_difference, save, written
from hw.cppsim import Accelerator
from hw.cppsim.program import generate_program
from hw.transforms.verify import tensors
from tests.hw.cppsim.graphs import classifier, images


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelWrapper, dict[str, Any]]:
    finn_env.setup(tmp_path_factory.mktemp("finn"))
    model = classifier()
    return model, tensors(model, images(1)[0])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _weight_bit(model: ModelWrapper) -> None:
    weights = model.get_initializer("6.weights").copy()
    weights[17, 3] = 1 - weights[17, 3]
    model.set_initializer("6.weights", weights)


def _threshold(model: ModelWrapper) -> None:
    levels = model.get_initializer("7.weights").copy()
    levels[4] = np.minimum(levels[4] + 9, 63)
    model.set_initializer("7.weights", levels)


def _narrow_accumulator(model: ModelWrapper) -> None:
    product, follower = (getCustomOp(model.graph.node[index]) for index in (2, 3))
    product.set_nodeattr("outputDataType", "INT11")
    product.set_nodeattr("accDataType", "INT11")
    follower.set_nodeattr("inputDataType", "INT11")


def _swapped_channels(model: ModelWrapper) -> None:
    weights = model.get_initializer("9.weights").copy()
    weights[:, [1, 2]] = weights[:, [2, 1]]
    model.set_initializer("9.weights", weights)


def _stride_of_padding(model: ModelWrapper) -> None:
    getCustomOp(model.graph.node[0]).set_nodeattr("Padding", [2, 1, 0, 1])


PLANTED = {
    "weight bit": (_weight_bit, "MVAU_6", 3),
    "threshold": (_threshold, "Thresholding_7", 4),
    "accumulator too narrow": (_narrow_accumulator, "MVAU_2", None),
    "swapped channels": (_swapped_channels, "MVAU_9", 1),
    "padding": (_stride_of_padding, "FMPadding_0", None),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named_at_its_node(
    fault: str, reference: tuple[ModelWrapper, dict[str, Any]], tmp_path: Path, cache: Path
) -> None:
    plant, node, channel = PLANTED[fault]
    model, expected = reference
    broken = ModelWrapper(model.model, make_deepcopy=True)
    plant(broken)
    generate_program(broken).write(tmp_path)
    got = Accelerator.load(tmp_path, cache).tensors(images(1)[0])
    found = first_difference(written(model), expected, got, image=6)
    assert found is not None
    assert (found.node, found.image) == (node, 6)
    assert channel is None or found.channel == channel
    at = (0, *found.pixel, found.channel)
    assert (expected[found.tensor][at], got[found.tensor][at]) == (found.expected, found.got)
    assert found.expected != found.got
    path = save(found, expected, got, tmp_path / "report")
    with np.load(path) as stored:
        np.testing.assert_array_equal(stored["expected"], expected[found.tensor])
        np.testing.assert_array_equal(stored["got"], got[found.tensor])
    assert f"{node} (" in (tmp_path / "report" / "difference.txt").read_text()


def test_without_a_fault_nothing_differs(
    reference: tuple[ModelWrapper, dict[str, Any]], tmp_path: Path, cache: Path
) -> None:
    model, expected = reference
    generate_program(model).write(tmp_path)
    assert first_difference(written(model), expected, Accelerator.load(tmp_path, cache).tensors(images(1)[0])) is None


def test_nothing_in_common_is_no_agreement(reference: tuple[ModelWrapper, dict[str, Any]]) -> None:
    model, expected = reference
    with pytest.raises(ValueError, match="nothing to compare"):
        first_difference(written(model), expected, {})


def test_what_was_never_written_differs() -> None:
    found = difference(np.zeros((1, 2, 2, 3)), np.full((1, 2, 2, 3), np.nan), node="n", op="Op", tensor="t")
    assert str(found) == "n (Op): image 0, pixel [0, 0], channel 0: expected 0, got nan; 12 of 12 values of t differ"


def test_a_lost_beat_is_a_difference_in_size() -> None:
    with pytest.raises(ValueError, match=r"n .Op.: 5 values of t instead of 6"):
        difference(np.zeros((1, 6)), np.zeros((1, 5)), node="n", op="Op", tensor="t")
