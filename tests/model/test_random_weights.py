# SPDX-License-Identifier: Apache-2.0
"""Random weights: repeatable, alive, and told from trained ones."""

from pathlib import Path

import torch

from model.checkpoint import load_checkpoint
from model.data import sample_images
from model.networks import network_spec
from model.random_weights import random_weights


def test_a_seed_gives_weights_and_a_card_that_says_so(tmp_path: Path) -> None:
    spec = network_spec("tiny")
    cards = [
        random_weights(tmp_path / f"{name}.safetensors", spec, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert cards[0].sha256 == cards[1].sha256 != cards[2].sha256
    network, card = load_checkpoint(tmp_path / "c.safetensors", "tiny", "hardware")
    assert (card.dataset, card.epochs, card.top1) == ("nothing: random weights, seed 2", 0, None)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all({-1.0, 1.0} == set(norm.weight.sign().tolist()) for norm in norms if norm.num_features > 8)


def test_images_get_different_answers(tmp_path: Path) -> None:
    spec = network_spec("tiny")
    random_weights(tmp_path / "a.safetensors", spec, 0)
    network, _ = load_checkpoint(tmp_path / "a.safetensors")
    with torch.no_grad():
        answers = network(torch.from_numpy(sample_images(spec, 300).images)).argmax(1)
    assert len(answers.unique()) >= spec.classes // 2
