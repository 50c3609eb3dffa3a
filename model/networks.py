# SPDX-License-Identifier: Apache-2.0
"""The registry of networks, and the one definition that all of them share."""

import difflib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from model.errors import UnknownNetworkError
from model.layers import Block, Kit, LightKit, batch_norm
from model.quantizers import INPUT_SCALE
from model.recovery import CompactRecovery

Backend = Literal["light", "brevitas"]


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a residual network: three stages, of which the second and third halve the picture."""

    name: str
    channels: int
    size: int
    widths: tuple[int, int, int]
    blocks: int
    classes: int
    ratio: int
    dataset: str

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.size, self.size


NETWORKS = {
    spec.name: spec
    for spec in (
        NetworkSpec("tiny", 1, 16, (8, 16, 32), blocks=1, classes=10, ratio=4, dataset="digits"),
        NetworkSpec("resnet20", 3, 32, (16, 32, 64), blocks=3, classes=10, ratio=4, dataset="cifar10"),
    )
}


def network_spec(name: str) -> NetworkSpec:
    """Return the network's shape; raises UnknownNetworkError with the closest names."""
    if name in NETWORKS:
        return NETWORKS[name]
    close = difflib.get_close_matches(name, NETWORKS, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known networks: {', '.join(NETWORKS)}"
    raise UnknownNetworkError(f"unknown network '{name}'; {hint}")


class ResidualNetwork(nn.Module):
    """IR2Net's binary residual network in the formulation that converts to integers exactly.

    Parameters carry the names of the paper's published code: conv1, bn1, layerS.B.{conv,bn}{1,2}, fusion.*,
    bn2, linear.
    """

    def __init__(self, spec: NetworkSpec, kit: Kit) -> None:
        super().__init__()
        self.spec = spec
        first, second, third = spec.widths
        self.conv1 = kit.stem(spec.channels, first)
        self.bn1 = batch_norm(first, 0.5)
        self.quantizer1 = kit.quantizer()
        self.layer1 = _stage(kit, first, first, 1, spec.blocks)
        self.layer2 = _stage(kit, first, second, 2, spec.blocks)
        self.layer3 = _stage(kit, second, third, 2, spec.blocks)
        self.fusion = CompactRecovery(kit, (first, first, second, third), (4, 4, 2, 1), third, spec.ratio)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.bn2 = nn.BatchNorm1d(third)
        self.quantizer2 = kit.head_quantizer()
        self.linear = kit.linear(third, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, channels, size, size), values 0 .. 255, to float32 logits (batch, classes)."""
        return self.logits_and_features(x)[0]

    def logits_and_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the last stage's feature map, which information restriction attends to."""
        # A cast of what is float already would stay in an exported graph.
        values = x if x.is_floating_point() else x.float()
        stem = self.quantizer1(self.bn1(self.conv1(values * INPUT_SCALE)))
        first = self.layer1(stem)
        second = self.layer2(first)
        third = self.layer3(second)
        fused = self.pool(self.fusion([stem, first, second, third])).flatten(1)
        logits: Tensor = self.linear(self.quantizer2(self.bn2(fused)))
        return logits, third


def _stage(kit: Kit, inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = [Block(kit, outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(kit, inputs, outputs, stride), *rest)


def create_network(name: str, *, backend: Backend = "light", seed: int | None = None) -> ResidualNetwork:
    """Build a network with fresh weights; the same seed gives the same weights.

    `backend` selects the layers: plain torch ("light") or Brevitas, which only then has to be installed.
    Raises UnknownNetworkError.
    """
    spec = network_spec(name)
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        network = ResidualNetwork(spec, LightKit())
        _initialise(network)
    return network if backend == "light" else to_brevitas(network)


def _initialise(network: ResidualNetwork) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    # Fusion weights have 4 bits of scale 1/8: a deviation of 0.3 uses that range.
    for name in ("fusion.primary_conv.0.weight", "fusion.cheap_operation.0.weight"):
        nn.init.normal_(network.get_parameter(name), std=0.3)


def to_brevitas(network: ResidualNetwork) -> ResidualNetwork:
    """Return the same network, with the same weights, made of Brevitas layers and in evaluation mode."""
    from model.brevitas_layers import BrevitasKit

    twin = ResidualNetwork(network.spec, BrevitasKit())
    twin.load_state_dict(network.state_dict())
    return twin.eval()


def calibrate(network: ResidualNetwork, images: Tensor) -> None:
    """Set every batch norm's statistics to those of `images`, and leave the network in evaluation mode."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
    momenta = [norm.momentum for norm in norms]
    network.train()
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
