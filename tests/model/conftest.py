# SPDX-License-Identifier: Apache-2.0
"""Networks and images that several tests use."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.networks import ResidualNetwork, calibrate, create_network
from model.ties import separate_ties

NETWORKS = ("tiny", "resnet20")


def random_images(network: ResidualNetwork, count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *network.spec.input_shape), dtype=torch.uint8, generator=generator)


def random_network(name: str, seed: int = 0) -> ResidualNetwork:
    """Return a network with random weights, calibrated batch norms and scales of either sign."""
    network = create_network(name, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if parameter.dim() == 1 and not key.startswith("bn2."):
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(parameter * noise.sign() if key.endswith("weight") else 0.1 * noise)
    calibrate(network, random_images(network, 64))
    separate_ties(network)
    return network


@pytest.fixture
def make_network() -> Callable[..., ResidualNetwork]:
    return random_network


@pytest.fixture
def make_images() -> Callable[..., Tensor]:
    return random_images


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
