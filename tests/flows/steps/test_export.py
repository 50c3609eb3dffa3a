# SPDX-License-Identifier: Apache-2.0
"""The first step refuses what is not for hardware, and warns of sums on which rounding decides."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flows.config import BuildConfig
from flows.errors import UserError
from flows.pipeline import Context
from flows.steps import export
from hw.boards.board import load
from model.checkpoint import Card, load_checkpoint, save_checkpoint, shipped_checkpoint
from model.networks import Network, create_network


def context(tmp_path: Path, network: Network, card: Card) -> Context:
    """The step's context for a checkpoint with these weights."""
    save_checkpoint(tmp_path / "weights.safetensors", network, card)
    return Context(
        config=BuildConfig(network="tiny", images=1),
        board=load("pynq-z2"),
        folders={"export": tmp_path / "export"},
        checkpoint=tmp_path / "weights.safetensors",
        current="export",
    )


def test_weights_of_paper_precision_are_refused(tmp_path: Path) -> None:
    _, card = load_checkpoint(shipped_checkpoint("tiny"))
    with pytest.raises(UserError, match="is a checkpoint of paper precision, not of hardware precision"):
        export.STEP.run(context(tmp_path, create_network("tiny", precision="paper"), card))


@pytest.mark.parametrize("channels", [0, 1])
def test_a_sum_on_a_threshold_gives_a_warning(tmp_path: Path, channels: int) -> None:
    network, card = load_checkpoint(shipped_checkpoint("tiny"))
    with torch.no_grad():
        for name, value in {"weight": 0.25, "bias": 0.0625, "running_mean": 0.0, "running_var": 1.0 - 1e-5}.items():
            # a sum of 0 becomes 1/16, half a step of the quantizer behind it
            network.get_submodule("layer1.0.bn1").state_dict()[name][:channels] = value
    warning = export.STEP.run(context(tmp_path, network, card)).warning
    assert (warning is None) == (channels == 0)
    if warning:
        assert warning.startswith("in 1 channels a sum can lie within float rounding of a batch-norm threshold")
        assert "separate_ties" in warning
