# SPDX-License-Identifier: Apache-2.0
"""Networks are made here: with fresh weights, or as the Brevitas twin of another one."""

import torch
from torch import nn

from model.errors import PrecisionError
from model.networks import light
from model.networks.families import CLASSES, Network
from model.networks.kit import BinaryWeights, Precision, hardware_kit
from model.networks.paper import paper_kit
from model.networks.quantizers import Formats
from model.networks.registry import NetworkSpec, Recovery, network_spec


def create_network(
    name: str | NetworkSpec,
    *,
    precision: Precision = "hardware",
    recovery: Recovery | None = None,
    formats: Formats | None = None,
    seed: int | None = None,
) -> Network:
    """Build a network with fresh weights; the same seed gives the same weights.

    `recovery` is by default what the paper uses for the network. `formats` are the bit widths of hardware
    precision. Raises UnknownNetworkError, NetworkFileError or SizeError.
    """
    spec = network_spec(name)
    prelu = spec.family == "bireal"
    kit = hardware_kit(light, prelu, formats or Formats()) if precision == "hardware" else paper_kit(prelu)
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        network = CLASSES[spec.family](spec, kit, recovery or spec.recovery)
        _initialise(network)
    return network


def _initialise(network: Network) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    formats = network.formats
    if formats is None:
        return
    for module in network.modules():
        fmt = getattr(module, "format", None)
        if isinstance(module, nn.Conv2d) and fmt in (formats.fusion_weight, formats.shortcut_weight):
            # A third of the range: 4-bit weights of scale 1/8 start with a deviation of 0.3.
            nn.init.normal_(module.weight, std=0.3 * (fmt.hi + 1) * fmt.scale)


def to_brevitas(network: Network) -> Network:
    """Return the same network, with the same weights, made of Brevitas layers and in evaluation mode.

    Raises PrecisionError for a network of paper precision, or whose binary convolutions do not have the signs of their
    weights: real ones, or standardized ones that are not settled.
    """
    from model.networks import brevitas  # takes seconds, and only an export needs it

    spec, formats = network.spec, network.formats
    if formats is None:
        raise PrecisionError(
            f"{spec.name} is of {network.precision} precision; Brevitas layers are for hardware precision"
        )
    binary = [module for module in network.modules() if isinstance(module, BinaryWeights)]
    if not all(module.binary_weights for module in binary):
        raise PrecisionError(f"{spec.name} has real weights in its binary convolutions")
    if any(module.standardized for module in binary):
        raise PrecisionError(f"{spec.name} has standardized weights that are not settled yet")
    kit = hardware_kit(brevitas, spec.family == "bireal", formats)
    twin = CLASSES[spec.family](spec, kit, network.recovery)
    twin.load_state_dict(network.state_dict())
    return twin.eval()
