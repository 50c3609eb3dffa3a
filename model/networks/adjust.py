# SPDX-License-Identifier: Apache-2.0
"""What training changes in a network, in place, besides its weights' gradient steps."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from model.errors import PrecisionError
from model.networks.families import Network
from model.networks.kit import BinaryWeights
from model.networks.quantizers import standardized


def binarize_weights(network: Network, enabled: bool) -> None:
    """Switch the weights of the binary convolutions between signs and real numbers (ImageNet, step 1)."""
    for module in network.modules():
        if isinstance(module, BinaryWeights):
            module.binary_weights = enabled


def standardize_weights(network: Network, enabled: bool) -> None:
    """Let binary convolutions take the signs of their weights centred and scaled, or of the weights as they are.

    Raises PrecisionError for standardized weights without hardware precision.
    """
    if enabled and network.formats is None:
        raise PrecisionError(f"standardized weights are for hardware precision, not for {network.precision} precision")
    for module in network.modules():
        if isinstance(module, BinaryWeights):
            module.standardized = enabled


def settle_weights(network: Network) -> None:
    """Put standardized weights, within -1 .. 1, in the place of those that they are made of; every sign stays.

    Call it on the device that they were used on: elsewhere, a sum in another order could turn a weight next to 0.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, BinaryWeights) and module.standardized:
                weight = module.get_parameter("weight")
                weight.copy_(standardized(weight).clamp_(-1, 1))
    standardize_weights(network, False)


def constrain(network: Network) -> None:
    """Move parameters, in place, to where hardware precision can hold them; call it after a training step.

    Batch norms in front of the classifier and PReLUs have slopes >= 0: a negative one leaves a multiplication,
    or a staircase that falls, which the hardware does not have. Weights of 8 bits stay in their range, and those that
    become signs within -1 .. 1: outside they get no gradient and would never come back. Standardized ones are free, for
    it is not their size that counts. Paper precision has no such bounds.
    """
    if network.formats is None:
        return
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.weight.clamp_(min=1e-3)
            elif isinstance(module, nn.PReLU):
                module.weight.clamp_(min=0)
            elif isinstance(module, BinaryWeights) and module.binary_weights and not module.standardized:
                module.get_parameter("weight").clamp_(-1, 1)
            elif (fmt := getattr(module, "format", None)) in (
                network.formats.stem_weight,
                network.formats.linear_weight,
            ):
                bound = fmt.hi * fmt.scale
                module.get_parameter("weight").clamp_(-bound, bound)


def calibrate(network: Network, images: Tensor) -> None:
    """Set every batch norm's statistics to those of `images`, and leave the network in evaluation mode."""
    update_bn([images], network)
    network.eval()
