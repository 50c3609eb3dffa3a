# SPDX-License-Identifier: Apache-2.0
"""The check before an export: what in a network has no exact integer form, by layer and reason."""

from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from model.errors import ExportError
from model.networks.brevitas import QuantJoin, QuantPReLUSum
from model.networks.kit import Concat

ROUND_DOWN = "FLOOR"


def check_mappable(network: nn.Module, example: Tensor) -> None:
    """Raise ExportError, with the layer and the reason, for the first thing that cannot be mapped exactly.

    `network` is made of Brevitas layers and in evaluation mode; `example` is an image it takes, (1, c, h, w).
    """
    for name, module in network.named_modules():
        reason = _slope(module) or _sign(module) or _pool(module)
        if reason:
            raise _error(name, reason)
    _check_scales(network, example)


def _error(name: str, reason: str) -> ExportError:
    return ExportError(f"{name} cannot be mapped exactly: {reason}")


def _slope(module: nn.Module) -> str | None:
    if isinstance(module, nn.BatchNorm1d):
        kind = "scale of the batch norm in front of the classifier"
    elif isinstance(module, nn.PReLU | QuantPReLUSum):
        kind = "slope of the PReLU"
    else:
        return None
    weight = module.weight.detach()
    negative = (weight < 0).nonzero()
    if not len(negative):
        return None
    channel = int(negative[0])
    where = f"{weight[channel]:g} in channel {channel}"
    return f"the {kind} is negative ({where}); model.networks.adjust.constrain prevents it"


def _sign(module: nn.Module) -> str | None:
    """Name a sign whose values are not -1 and +1."""
    if isinstance(module, qnn.QuantIdentity):
        quantizer, what = module.act_quant, "activations"
    elif isinstance(module, QuantWeightBiasInputOutputLayer):
        quantizer, what = module.weight_quant, "weights"
    else:
        return None
    if not quantizer.is_quant_enabled or float(quantizer.bit_width()) != 1:
        return None
    scales = quantizer.scale().detach().flatten()
    wrong = scales[scales != 1]
    return f"the sign of its {what} has the scale {wrong[0]:g}, not 1" if len(wrong) else None


def _pool(module: nn.Module) -> str | None:
    if isinstance(module, qnn.TruncAvgPool2d):
        mode = str(module.trunc_quant.rounding_mode).upper()
        return None if mode == ROUND_DOWN else f"its average pool rounds ({mode}); the hardware's rounds down"
    if isinstance(module, nn.AvgPool2d):
        return "its average pool is not rounded down to an integer format"
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in {1, (1, 1)}:
        return f"its average pool, to {module.output_size}, is not rounded down to an integer format"
    return None


def _check_scales(network: nn.Module, example: Tensor) -> None:
    """Run the network once, and compare the scales that meet at additions and concatenations."""

    names = {module: name for name, module in network.named_modules() if isinstance(module, QuantJoin | Concat)}

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module not in names:
            return
        scales = [_scale(value) for value in inputs]
        if isinstance(module, QuantJoin):
            scales[0] = module.branch_scale
        if None in scales or len(set(scales)) > 1:
            listed = " and ".join("none" if scale is None else f"{scale:g}" for scale in scales)
            raise _error(names[module], f"its inputs have unequal scales: {listed}")

    with register_module_forward_pre_hook(look), torch.no_grad():
        network(example)


def _scale(value: Any) -> float | None:
    """Return the one scale that a quantized tensor carries."""
    scale = getattr(value, "scale", None)
    return None if scale is None or scale.numel() != 1 else float(scale)
