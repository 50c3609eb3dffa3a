# SPDX-License-Identifier: Apache-2.0
"""No attainable sum lies on a threshold after separate_ties."""

from collections.abc import Callable

import numpy as np
import torch

from model.networks import ResidualNetwork, create_network
from model.ties import quantized_norms, separate_ties


def test_planted_tie_is_moved() -> None:
    network = create_network("tiny", seed=0)
    separate_ties(network)
    norm = network.layer1[0].bn1
    with torch.no_grad():
        norm.weight.fill_(0.25)
        norm.running_var.fill_(1.0 - norm.eps)
        norm.running_mean.zero_()
        norm.bias.fill_(0.0625)  # 0.25 * 0 + 0.0625 lies between the integers 0 and 1 of scale 1/8
    report = separate_ties(network)
    assert report.moved == norm.num_features
    assert report.unresolved == 0
    assert report.largest_shift < 1e-3
    assert separate_ties(network).moved == 0


def test_every_sum_is_decided_the_same_in_any_rounding(make_network: Callable[..., ResidualNetwork]) -> None:
    """Binary sums -72 .. 72 through each block norm: float32 in two orders, and float64."""
    network = make_network("tiny")
    for norm, step, fmt in quantized_norms(network):
        if step != 1.0:
            continue
        sums = np.arange(-300, 301, dtype=np.float32)[:, None]
        weight, bias, mean, variance = (
            t.detach().numpy() for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        )
        slope = weight / np.sqrt(variance + np.float32(norm.eps))
        one = sums * slope + (bias - mean * slope)
        two = (sums - mean) * slope + bias
        exact = (sums.astype(np.float64) - mean) * (weight / np.sqrt(variance.astype(np.float64) + norm.eps)) + bias
        integers = [np.clip(np.round(y / fmt.scale), fmt.lo, fmt.hi) for y in (one, two, exact)]
        assert np.array_equal(integers[0], integers[1])
        assert np.array_equal(integers[0], integers[2])
