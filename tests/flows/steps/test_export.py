# SPDX-License-Identifier: Apache-2.0
"""The first step refuses what is not for hardware, and warns of sums on which rounding decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.config import BuildConfig
from flows.errors import UserError
from flows.pipeline import Context
from flows.steps import export
from hw.boards.board import load
from model.checkpoint import Card, load_checkpoint, save_checkpoint, shipped_checkpoint
from model.networks import Network, create_network, network_spec
from model.networks.ties import separate_ties


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


def test_what_the_step_reads_is_the_card_and_the_test_images(tmp_path: Path) -> None:
    network, card = load_checkpoint(shipped_checkpoint("tiny"))
    found = context(tmp_path, create_network(replace(network.spec, dataset="own")), card)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            (tmp_path / "pets" / split / name / "0.png").write_bytes(b"pixels")
    found.config = found.config.model_copy(update={"data_dir": tmp_path / "pets"})
    names = [str(path.relative_to(tmp_path)) for path in export.STEP.given(found)]
    assert names == ["weights.card.json", "pets/test/cat/0.png", "pets/test/dog/0.png"]


def test_sample_photographs_are_said_to_be_none_of_the_data_set(tmp_path: Path) -> None:
    _, card = load_checkpoint(shipped_checkpoint("tiny"))
    network = create_network(replace(network_spec("tiny"), dataset="own", names=("cat", "dog"), classes=2), seed=0)
    separate_ties(network)
    result = export.STEP.run(context(tmp_path, network, card))
    assert result.warning is not None
    assert result.warning.startswith("the images are sample photographs, of none of the classes; --data-dir")
    with np.load(tmp_path / "export" / "golden.npz") as golden:
        assert golden["classes"].tolist() == ["cat", "dog"]
        assert "labels" not in golden
