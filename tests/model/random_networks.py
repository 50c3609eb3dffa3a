# SPDX-License-Identifier: Apache-2.0
"""Networks with random weights, of all kinds that there are, small enough for tests."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from model.networks import Network, NetworkSpec, create_network, network_spec
from model.networks.adjust import calibrate
from model.networks.ties import separate_ties
from model.random_weights import randomise_norms


def random_images(network: Network, count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *network.spec.input_shape), dtype=torch.uint8, generator=generator)


def small_spec(name: str, **more: Any) -> NetworkSpec:
    """Return a network of the registry, the large ones at a fraction of their width, with `more` changes."""
    spec = network_spec(name)
    changes: dict[str, dict[str, Any]] = {
        "double": {},
        "basic": {"widths": (8, 16, 32, 64)},
        "vgg": {"widths": (16, 32, 64)},
        # Variant C makes cheap features of 16 primary ones, and D's ratio 20 divides no width.
        "bireal": {"widths": (8, 16, 32, 128), "size": 64, "classes": 20},
    }
    return replace(spec, **changes[spec.family] | more)


def random_network(name: str | NetworkSpec, seed: int = 0, **options: Any) -> Network:
    """Return a network with random weights, calibrated batch norms, and scales of either sign; large ones shrunk."""
    spec = small_spec(name) if isinstance(name, str) else name
    network = create_network(spec, seed=seed, **options)
    randomise_norms(network, seed)
    calibrate(network, random_images(network, 16 if network.spec.family == "bireal" else 64))
    separate_ties(network)
    return network
