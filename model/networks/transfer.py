# SPDX-License-Identifier: Apache-2.0
"""Weights move from paper precision to hardware precision.

What has an exact counterpart keeps its value: scales of real-valued convolutions, the normalisation of pixels and
negative scales in front of the classifier move into the batch norms beside them. What has none is rounded to the
hardware's formats, so a network that was moved wants fine-tuning: zero padding becomes -1, real numbers between
binary convolutions become 4-bit ones.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from model.errors import PrecisionError
from model.networks.create import create_network
from model.networks.families import Network
from model.networks.pixels import pixel_statistics
from model.networks.quantizers import INPUT_SCALE, Formats, IntegerFormat

State = dict[str, Tensor]

OUTLIER = 3.0
"""Weights of few bits use their range up to this many root mean squares; what is larger is clipped."""

QUANTILES = 255
"""Values that stand for a normal distribution."""


def to_hardware(source: Network, formats: Formats | None = None) -> Network:
    """Return a hardware network, in evaluation mode, with the weights of one of paper precision.

    `formats` are its bit widths; the scale of the classifier's weights is chosen to fit them.

    The hardware's classifier has no bias: the bias moves into the batch norm in front of it (with more classes
    than features the nearest that the weights can express). VGG-Small has no batch norm there: its features, which
    are many, make up for the bias on average. PReLU's slopes below 0 become 0. Raises PrecisionError unless `source`
    is of paper precision.
    """
    if source.precision != "paper":
        raise PrecisionError(
            f"{source.spec.name} is of {source.precision} precision: weights move from paper precision only"
        )
    classifier = "linear" if "linear.weight" in source.state_dict() else "fc"
    chosen = _with_classifier_scale(formats or Formats(), source.get_parameter(f"{classifier}.weight"))
    target = create_network(source.spec, recovery=source.recovery, formats=chosen)
    state = _hardware_names(source, target)
    stem = "conv0" if source.spec.family == "vgg" else "conv1"
    _fold_pixels(state, stem, source.spec.channels)
    for name, module in target.named_modules():
        fmt = getattr(module, "format", None)
        if isinstance(module, nn.Conv2d) and isinstance(fmt, IntegerFormat):
            _fit_range(state, name, fmt)
        elif isinstance(module, nn.PReLU):
            state[f"{name}.weight"].clamp_(min=0)
    bias = source.get_parameter(f"{classifier}.bias").detach()
    if isinstance(target.get_submodule("bn2"), nn.BatchNorm1d):
        _move_head(state, classifier, bias)
    else:
        _spread_bias(state, _fused_norms(target), classifier, bias, chosen)
    target.load_state_dict(state)
    return target.eval()


def _hardware_names(source: Network, target: Network) -> State:
    """Return copies of the tensors that the hardware has, all but the classifier's bias, in its names and shapes."""
    published = source.state_dict()
    state = {}
    for name, wanted in target.state_dict().items():
        tensor = published[name if name in published else name.replace("binary_conv.weight", "binary_conv.weights")]
        # Of the cheap features, the hardware has no channels that are left out afterwards.
        kept = tensor[: len(wanted)] if tensor.dim() == wanted.dim() > 0 else tensor.view(wanted.shape)
        state[name] = kept.clone()
    return state


def _fold_pixels(state: State, stem: str, channels: int) -> None:
    """Move the normalisation of pixels into the stem: exact but for the ring of zeros round the picture."""
    mean, deviation = pixel_statistics(channels)
    weight = state[f"{stem}.weight"]
    state[f"{_norm_of(stem)}.running_mean"] += (weight * (mean / deviation)).sum((1, 2, 3))
    weight.div_(deviation * 255 * INPUT_SCALE)


def _norm_of(conv: str) -> str:
    """Return the name of the batch norm after a real-valued convolution."""
    single = {"conv0": "bn0", "conv1": "bn1", "fusion": "fbn"}
    if conv in single:
        return single[conv]
    parent, index = conv.rsplit(".", 1)
    return f"{parent}.{int(index) + 1}"


def _fit_range(state: State, conv: str, fmt: IntegerFormat) -> None:
    """Scale every output channel of a convolution to the format's range, and undo it in the batch norm after it."""
    weight, norm = state[f"{conv}.weight"], _norm_of(conv)
    flat = weight.flatten(1)
    peak = flat.abs().amax(1)
    if fmt.bits < 8:
        peak = torch.minimum(peak, OUTLIER * flat.square().mean(1).sqrt())
    gain = torch.where(peak > 0, fmt.hi * fmt.scale / peak, 1.0)
    weight.mul_(gain.view(-1, 1, 1, 1))
    state[f"{norm}.running_mean"] *= gain
    eps = nn.BatchNorm2d(1).eps
    variance = state[f"{norm}.running_var"]
    # The batch norm adds eps to the variance of the scaled sums, too.
    variance.add_(eps).mul_(gain.square()).sub_(eps).clamp_(min=0)


def _move_head(state: State, classifier: str, bias: Tensor) -> None:
    """Make the scales of the batch norm in front of the classifier positive, and let it take the bias."""
    weight = state[f"{classifier}.weight"]
    signs = torch.where(state["bn2.weight"] < 0, -1.0, 1.0)
    weight.mul_(signs)
    state["bn2.weight"] *= signs
    state["bn2.bias"] *= signs
    state["bn2.bias"] += (torch.linalg.pinv(weight.double()) @ bias.double()).float()


def _fused_norms(network: Network) -> list[str]:
    """Return the names of the batch norms whose clipped outputs are the classifier's features, in their order."""
    return {
        "compact": ["fusion.primary_conv.1", "fusion.cheap_operation.1"],
        "full": ["fbn"],
        "none": [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)][-1:],
    }[network.recovery]


def _spread_bias(state: State, norms: list[str], classifier: str, bias: Tensor, formats: Formats) -> None:
    """Add to the classifier's weights those with which its features best predict the constant 1, times the bias.

    A batch norm's scale and bias are the deviation and mean of what it gives; features are taken as independent.
    """
    weight = state[f"{classifier}.weight"]
    normal = torch.special.ndtri((torch.arange(QUANTILES) + 0.5) / QUANTILES)
    offset, scale = (torch.cat([state[f"{name}.{part}"] for name in norms]) for part in ("bias", "weight"))
    values = (offset[:, None] + scale[:, None] * normal).clamp(-1, 1)
    mean, precision = values.mean(1), 1 / (values.var(1) + formats.residual.scale**2 / 12)
    pixels = weight.shape[1] // len(mean)
    found = mean * precision / (1 + pixels * (mean.square() * precision).sum())
    weight += bias[:, None] * found.repeat_interleave(pixels)


def _with_classifier_scale(formats: Formats, weight: Tensor) -> Formats:
    """Return the formats with the least power of two that holds the classifier's weights as their scale."""
    fmt = formats.linear_weight
    scale = 2.0 ** math.ceil(math.log2(max(float(weight.detach().abs().max()), 2.0**-20) / fmt.hi))
    return replace(formats, linear_weight=replace(fmt, scale=scale))
