# SPDX-License-Identifier: Apache-2.0
"""The compiled program in a build: the accuracy of the hardware, and what is told when it is not exact."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx.custom_op.registry import getCustomOp

from flows.errors import ToolError
from flows.pipeline import Context
from flows.steps import cppsim
from flows.steps.golden import Golden, load_golden
from hw.cppsim import Accelerator
from tests.flows import finished

pytestmark = pytest.mark.timeout(1500)  # whoever comes first builds


@pytest.fixture
def context(tiny_build: Path, tmp_path: Path) -> Context:
    from hw import finn_env

    finn_env.setup(tmp_path / "finn")
    return finished.context(tiny_build, "verify", tmp_path)


@pytest.fixture
def golden(context: Context) -> Golden:
    return load_golden(context, all_images=True)


def given(golden: Golden) -> Any:
    """In the place of load_golden."""
    return lambda context, *, all_images=False: golden


def test_the_summary_has_the_accuracy_of_the_hardware(tiny_build: Path) -> None:
    summary = json.loads((tiny_build / "report" / "summary.json").read_text())
    accuracy = summary["accuracy"]
    assert (accuracy["images"], accuracy["engine"]) == (360, "cppsim")
    assert accuracy["dataset"].startswith("scikit-learn")
    assert accuracy["top1"] == summary["checkpoint"]["top1"]
    confusion = np.array(accuracy["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.diagonal().sum() == round(accuracy["top1"] * 360)
    assert [one["images"] for one in accuracy["classes"]] == confusion.sum(axis=1).tolist()
    assert accuracy["classes"][3]["recall"] == confusion[3, 3] / confusion[3].sum()
    assert accuracy["classes"][3]["precision"] == confusion[3, 3] / confusion[:, 3].sum()
    rows = [
        (row["stage"], row["images"], row["mismatches"]) for row in summary["verification"] if row["engine"] == "cppsim"
    ]
    assert rows == [("tensors", 1, 0), ("test images", 360, 0), ("driver", 4, 0)]


def test_a_build_can_be_loaded_and_run(tiny_build: Path, golden: Golden) -> None:
    accelerator = Accelerator.load(tiny_build)
    np.testing.assert_array_equal(accelerator.logits(golden.images), golden.logits)
    np.testing.assert_array_equal(accelerator.predict(golden.images), golden.logits.argmax(axis=1))


def test_what_cannot_run_says_why(context: Context, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hw.cppsim.hls.missing", lambda: "finn-hlslib is not here")
    cppsim.compare_hls(context, golden)
    (row,) = context.compared
    assert (row.mismatches, row.reason) == (None, "finn-hlslib is not here")


def test_without_labels_the_images_are_compared_all_the_same(
    context: Context, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cppsim, "load_golden", given(replace(golden, labels=None)))
    assert cppsim.compare_program(context) is None
    assert [(row.stage, row.images) for row in context.compared] == [("tensors", 1), ("graph", len(golden.images))]


def test_one_other_logit_of_one_image_fails(context: Context, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = golden.hardware.copy()
    hardware[2, 7] += 1
    monkeypatch.setattr(cppsim, "load_golden", given(replace(golden, hardware=hardware)))
    with pytest.raises(ToolError, match=r"agree on every node, but not with Brevitas: 1 of \d+ images, first image 2"):
        cppsim.compare_program(context)


def test_a_fault_is_named_at_its_node_and_both_tensors_are_kept(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled = cppsim._compile

    def broken(context: Any, model: Any, scale: float | None) -> Any:
        """Lines after the first layer, of which one is another."""
        op = getCustomOp(next(node for node in model.graph.node if node.op_type == "Requantise_rtl"))
        offsets = op.get_nodeattr("Offsets")
        op.set_nodeattr("Offsets", [*offsets[:5], offsets[5] - (3 << op.get_nodeattr("Shift")), *offsets[6:]])
        result = compiled(context, model, scale)
        op.set_nodeattr("Offsets", offsets)
        return result

    monkeypatch.setattr(cppsim, "_compile", broken)
    with pytest.raises(
        ToolError, match=r"cppsim differs from Python: Requantise_rtl_0 .*: image 0, pixel .*, channel 5"
    ):
        cppsim.compare_program(context)
    with np.load(tmp_path / "report" / "difference.npz") as stored:
        assert not np.array_equal(stored["expected"], stored["got"])
