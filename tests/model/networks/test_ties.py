# SPDX-License-Identifier: Apache-2.0
"""No attainable sum lies on a threshold after separate_ties."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from model.networks import NETWORKS, Network, create_network
from model.networks.blocks import QuantizedNorm
from model.networks.ties import TieReport, channel_thresholds, quantized_norms, separate_ties


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


def integers_of(described: QuantizedNorm, sums: np.ndarray) -> list[np.ndarray]:
    """What the quantizer makes of sums (n, 1): float32 in two orders, and float64."""
    norm = described.norm
    weight, bias, mean, variance = (
        t.detach().numpy() for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    slope = weight / np.sqrt(variance + np.float32(norm.eps))
    one = sums * slope + (bias - mean * slope)
    two = (sums - mean) * slope + bias
    exact = (sums.astype(np.float64) - mean) * (weight / np.sqrt(variance.astype(np.float64) + norm.eps)) + bias
    return [np.searchsorted(described.thresholds, y, side="right") for y in (one, two, exact)]


def test_every_sum_is_decided_the_same_in_any_rounding(make_network: Callable[..., Network]) -> None:
    """Binary sums -72 .. 72 through each block norm."""
    for described in quantized_norms(make_network("tiny")):
        if described.step == 1.0:
            one, two, exact = integers_of(described, np.arange(-300, 301, dtype=np.float32)[:, None])
            assert np.array_equal(one, two)
            assert np.array_equal(one, exact)


def test_dense_sums_are_separated_by_a_scale(make_network: Callable[..., Network]) -> None:
    """In this network no bias takes every threshold of the stem's first channel away from all sums."""
    network = make_network("resnet20", seed=0)
    assert network.get_parameter("bn1.weight")[0] not in {-0.5, 0.5}
    assert separate_ties(network) == TieReport(0, 0.0, 0)
    stem = next(iter(quantized_norms(network)))
    count = int(2 / stem.step)
    one, two, exact = integers_of(stem, (np.arange(-count, count + 1) * stem.step).astype(np.float32)[:, None])
    assert np.array_equal(one, two)
    assert np.array_equal(one, exact)


def test_thresholds_out_of_reach_need_no_distance(make_network: Callable[..., Network]) -> None:
    """A PReLU with a slope of almost 0 has thresholds that no sum comes near."""
    network = make_network("birealnet18_A")
    with torch.no_grad():
        network.get_parameter("fprelu.weight").fill_(1e-4)
        network.get_parameter("prelu.weight").fill_(1e-3)
    report = separate_ties(network)
    assert report.unresolved == 0
    assert report.largest_shift < 1e-3


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_batch_norm_is_described_once(name: str, make_network: Callable[..., Network]) -> None:
    network = make_network(name)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d)]
    described = [row.norm for row in quantized_norms(network)]
    assert len(described) == len(norms)
    assert {id(norm) for norm in described} == {id(norm) for norm in norms}


@pytest.mark.parametrize("name", ["resnet18", "birealnet18_B"])
def test_described_steps_are_those_of_the_sums(
    name: str, make_network: Callable[..., Network], make_images: Callable[..., Tensor]
) -> None:
    """What a batch norm receives is a multiple of its step, and of no coarser one of powers of two."""
    network = make_network(name)
    seen: dict[int, Tensor] = {}
    for row in quantized_norms(network):
        row.norm.register_forward_pre_hook(lambda norm, inputs: seen.update({id(norm): inputs[0]}))
    with torch.no_grad():
        network(make_images(network, 2))
    for row in quantized_norms(network):
        integers = seen[id(row.norm)].double() / row.step
        assert torch.allclose(integers, integers.round(), atol=1e-3)
        assert (integers.round() % 2 == 1).any() or row.step == 1.0


def test_prelu_is_undone() -> None:
    """The thresholds of the batch norm are those of PReLU's result, through every slope."""
    network = create_network("birealnet18_B", seed=0)
    stem = next(iter(quantized_norms(network)))
    with torch.no_grad():
        network.get_parameter("prelu.weight")[:3] = torch.tensor([0.25, 0.0, 1.0])
    for channel, slope in enumerate((0.25, 0.0, 1.0)):
        thresholds = channel_thresholds(stem, channel)
        y = np.linspace(-8, 3, 1201)  # step 11 / 1200 meets no threshold
        expected = np.round(np.where(y < 0, slope * y, y) * 8).clip(-8, 7)
        levels = np.searchsorted(thresholds, y) + (expected.min() if slope else 0)
        assert np.array_equal(levels, expected)
