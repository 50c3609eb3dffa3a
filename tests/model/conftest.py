# SPDX-License-Identifier: Apache-2.0
"""Networks and images that several tests use."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.networks import Network
from tests.model.random_networks import random_images, random_network


@pytest.fixture
def make_network() -> Callable[..., Network]:
    return random_network


@pytest.fixture
def make_images() -> Callable[..., Tensor]:
    return random_images


@pytest.fixture(autouse=True)
def one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
