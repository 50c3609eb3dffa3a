# SPDX-License-Identifier: Apache-2.0
"""Random weights for a network that has none: for its cycles and resources, and to prove its hardware."""

import time
from pathlib import Path

import torch
from torch import nn

from model.checkpoint import Card, save_checkpoint
from model.data import sample_images
from model.networks import Network, NetworkSpec, create_network
from model.networks.adjust import calibrate
from model.networks.ties import separate_ties

_PIXELS = 1 << 19  # of the images that batch norms are calibrated on, over all channels and images


def random_weights(path: Path, spec: NetworkSpec, seed: int) -> Card:
    """Write a checkpoint of hardware precision with random weights, the same for the same seed, and its card.

    Batch norms have the statistics of sample images, so that signals neither die nor saturate on their way. Raises
    CheckpointError where it cannot be written.
    """
    network = create_network(spec, seed=seed)
    randomise_norms(network, seed)
    channels, height, width = spec.input_shape
    images = sample_images(spec, max(4, _PIXELS // (channels * height * width))).images
    calibrate(network, torch.from_numpy(images))
    separate_ties(network)
    card = Card(
        network=spec.name,
        dataset=f"nothing: random weights, seed {seed}",
        images=0,
        epochs=0,
        seed=seed,
        command=f"ir2net build --network {spec.name} --weights random --seed {seed}",
        sha256="",
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    return save_checkpoint(path, network, card)


def randomise_norms(network: Network, seed: int, bias: float = 0.1) -> None:
    """Give batch norms scales of either sign and offsets, and PReLUs slopes, as trained ones have them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                sign, offset = torch.randn(2, module.num_features, generator=generator)
                module.weight.mul_(sign.sign())
                module.bias.copy_(bias * offset)
            elif isinstance(module, nn.PReLU):
                module.weight.copy_(torch.rand(module.weight.shape, generator=generator))
