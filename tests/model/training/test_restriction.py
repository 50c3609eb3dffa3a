# SPDX-License-Identifier: Apache-2.0
"""Information restriction against values of the paper's published code."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.networks import create_network
from model.training.restriction import attention_map, erase_mask, restricted_loss

REFERENCE = Path(__file__).with_name("restriction.npz")


def test_attention_map_is_the_paper_s() -> None:
    with np.load(REFERENCE) as reference:
        found = attention_map(torch.from_numpy(reference["feature"]))
        assert np.allclose(found.numpy(), reference["attention"], atol=1e-6)


@pytest.mark.parametrize("threshold", [0.15, 0.5, 1.0])
def test_erase_mask_is_the_paper_s(threshold: float) -> None:
    with np.load(REFERENCE) as reference:
        found = erase_mask(torch.from_numpy(reference["feature"]), 32, threshold)
        expected = reference[f"mask_{threshold}"]
    assert found.shape == expected.shape
    assert np.array_equal(found.numpy(), expected.astype(bool))


def test_loss_is_the_mean_of_both_passes() -> None:
    network = create_network("tiny", seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.arange(8)
    loss, logits, erased_share = restricted_loss(network, images, labels, threshold=1.0)
    with torch.no_grad():
        _, features = network.logits_and_features(images)
        erased = network(images * erase_mask(features, 16, 1.0))
    entropy = torch.nn.functional.cross_entropy
    assert loss.item() == pytest.approx((entropy(logits, labels) + entropy(erased, labels)).item() / 2)
    assert 0 < erased_share < 1
    assert not torch.equal(logits, erased)
