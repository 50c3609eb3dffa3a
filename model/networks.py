# SPDX-License-Identifier: Apache-2.0
"""The registry of networks, and one definition a family that every kit of layers builds.

Parameters carry the names of the paper's published code.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from model.blocks import (
    SIGN_THRESHOLDS,
    BasicBlock,
    BiRealBlock,
    DoubleBlock,
    QuantizedNorm,
    as_norm,
    reach_of,
    real_stages,
)
from model.errors import DataError, PrecisionError, UnknownNetworkError
from model.kit import BinaryWeights, ClippedResidual, Kit, Precision
from model.layers import LightKit
from model.paper_layers import PaperKit
from model.quantizers import INPUT_SCALE, Formats
from model.recovery import CompactRecovery, GatherStages, fusion_norm

Backend = Literal["light", "brevitas"]
Family = Literal["double", "basic", "bireal", "vgg", "real"]
Recovery = Literal["compact", "full", "none"]

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_DEVIATION = (0.229, 0.224, 0.225)
"""Normalisation of colours x / 255 in front of a network of paper precision, for CIFAR-10 and ImageNet alike."""


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a network: `blocks` blocks in each stage of `widths` channels.

    Every stage but the first halves the picture. `recovery` is what the paper uses for it, with `ratio` and
    `group_width` those of compact recovery (see CompactRecovery).
    """

    name: str
    family: Family
    channels: int
    size: int
    widths: tuple[int, ...]
    blocks: int
    classes: int
    ratio: int
    dataset: str
    recovery: Recovery = "compact"
    group_width: int = 1

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.size, self.size


def _birealnet18(variant: str, ratio: int, recovery: Recovery = "compact", group_width: int = 1) -> NetworkSpec:
    return NetworkSpec(
        f"birealnet18_{variant}", "bireal", 3, 224, (64, 128, 256, 512), blocks=4, classes=1000, ratio=ratio,
        dataset="imagenet", recovery=recovery, group_width=group_width,
    )  # fmt: skip


NETWORKS = {
    spec.name: spec
    for spec in (
        NetworkSpec("tiny", "double", 1, 16, (8, 16, 32), blocks=1, classes=10, ratio=4, dataset="digits"),
        NetworkSpec("resnet20", "double", 3, 32, (16, 32, 64), blocks=3, classes=10, ratio=4, dataset="cifar10"),
        NetworkSpec("resnet18", "basic", 3, 32, (64, 128, 256, 512), blocks=2, classes=10, ratio=20, dataset="cifar10"),
        NetworkSpec("vgg_small", "vgg", 3, 32, (128, 256, 512), blocks=2, classes=10, ratio=32, dataset="cifar10"),
        _birealnet18("A", 2, "full"),
        _birealnet18("B", 2),
        _birealnet18("C", 4, group_width=16),
        _birealnet18("D", 20),
    )
}


TEACHERS = {
    spec.name: spec
    for spec in (
        NetworkSpec("resnet10", "real", 3, 32, (32, 64, 128, 256), blocks=1, classes=10, ratio=1, dataset="cifar10",
                    recovery="none"),
    )
}  # fmt: skip
"""Networks of real numbers, whose answers a binary network learns from (model.teacher)."""


def network_spec(name: str) -> NetworkSpec:
    """Return the network's shape; raises UnknownNetworkError with the closest names."""
    if spec := NETWORKS.get(name) or TEACHERS.get(name):
        return spec
    close = difflib.get_close_matches(name, NETWORKS, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known networks: {', '.join(NETWORKS)}"
    raise UnknownNetworkError(f"unknown network '{name}'; {hint}")


class Network(nn.Module):
    """An IR2Net network: feature maps of all stages, information recovery, classifier."""

    def __init__(self, spec: NetworkSpec, kit: Kit, recovery: Recovery) -> None:
        super().__init__()
        self.spec = spec
        self.recovery = recovery
        self.formats = kit.formats
        self.precision: Precision = "paper" if kit.formats is None else "hardware"
        self.input_scale = kit.input_scale

    def values(self, images: Tensor) -> Tensor:
        """Turn uint8 images into what `forward` computes with; raises DataError for a wrong number of channels.

        Hardware precision: the same numbers, 0 .. 255. Paper precision: normalised. Floats are left as they are.
        """
        # A cast of what is float already would stay in an exported graph.
        if images.is_floating_point():
            return images
        if images.dim() != 4 or images.shape[1] != self.spec.channels:
            raise DataError(
                f"{self.spec.name} takes images (n, {self.spec.channels}, height, width), got {tuple(images.shape)}"
            )
        if self.precision == "hardware":
            return images.float()
        mean, deviation = (row.to(images.device) for row in pixel_statistics(self.spec.channels))
        return (images.float() / 255 - mean) / deviation

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, channels, size, size) to float32 logits (batch, classes).

        Images are uint8, or floats as `values` returns them.
        """
        return self.logits_and_features(x)[0]

    def logits_and_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the last stage's feature map, which information restriction attends to."""
        values = self.values(x)
        features = self.stages(values if self.input_scale is None else values * self.input_scale)
        return self.classify(self._recover(features)), features[-1]

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps that recovery uses, the last stage's last."""
        raise NotImplementedError

    def classify(self, fused: Tensor) -> Tensor:
        """Map recovered features (batch, width, h, w) to logits."""
        raise NotImplementedError

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms outside blocks and compact recovery; see QuantizedNorm."""
        if self.recovery == "full":
            yield fusion_norm(self.fusion, self.fbn, self.fprelu, formats)

    def _add_recovery(self, kit: Kit, widths: Sequence[int], pools: Sequence[int]) -> None:
        """Add the recovery of feature maps with `widths` channels; map i is `pools[i]` times the last one's size."""
        outputs = widths[-1]
        if self.recovery == "none":
            return
        self.gather = GatherStages(kit, pools)
        if self.recovery == "compact":
            self.fusion: nn.Module = CompactRecovery(kit, sum(widths), outputs, self.spec.ratio, self.spec.group_width)
        else:
            # The published code has the parts of full recovery beside each other.
            self.fusion = kit.fusion_conv(sum(widths), outputs)
            self.fbn = kit.norm(outputs, 0.5)
            self.fprelu = kit.activation(outputs)

    def _recover(self, features: Sequence[Tensor]) -> Tensor:
        if self.recovery == "none":
            return features[-1]
        fused: Tensor = self.fusion(self.gather(features))
        return fused if self.recovery == "compact" else self.fprelu(self.fbn(fused))


class ResidualNetwork(Network):
    """Stem, stages of residual blocks, recovery, average pool, batch norm, classifier: the ResNets of CIFAR-10."""

    stem_kernel, stem_stride = 3, 1
    activation_name, classifier_name = "nonlinear", "linear"

    def __init__(self, spec: NetworkSpec, kit: Kit, recovery: Recovery) -> None:
        super().__init__(spec, kit, recovery)
        first, last = spec.widths[0], spec.widths[-1]
        self.conv1 = kit.stem(spec.channels, first, self.stem_kernel, self.stem_stride)
        self.bn1 = kit.norm(first, 0.5)
        self.add_module(self.activation_name, kit.activation(first))
        # Behind the stem, the picture of ImageNet's networks is halved once more.
        self.stem_pool: nn.Module = nn.Identity() if self.stem_stride == 1 else nn.MaxPool2d(3, stride=2, padding=1)
        block, inputs = BLOCKS[spec.family], first
        for index, outputs in enumerate(spec.widths):
            stage = _stage(block, kit, inputs, outputs, stride=2 if index else 1, blocks=spec.blocks)
            self.add_module(f"layer{index + 1}", stage)
            inputs = outputs
        shrink = [2**index for index in reversed(range(len(spec.widths)))]
        self.shrink = shrink[0] * self.stem_stride**2
        self._add_recovery(kit, (first, *spec.widths), (shrink[0] * self.stem_stride, *shrink))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.bn2 = nn.BatchNorm1d(last)
        self.quantizer2 = kit.head_quantizer()
        self.add_module(self.classifier_name, kit.linear(last, spec.classes))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the stem and of every stage."""
        maps = [self.get_submodule(self.activation_name)(self.bn1(self.conv1(x)))]
        current = self.stem_pool(maps[0])
        for index in range(len(self.spec.widths)):
            current = self.get_submodule(f"layer{index + 1}")(current)
            maps.append(current)
        return maps

    def classify(self, fused: Tensor) -> Tensor:
        """Map recovered features (batch, width, h, w) to logits."""
        head = self.quantizer2(self.bn2(self.pool(fused).flatten(1)))
        logits: Tensor = self.get_submodule(self.classifier_name)(head)
        return logits

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms of stem, full recovery and head; see QuantizedNorm."""
        yield _stem_norm(self.conv1, self.bn1, self.get_submodule(self.activation_name), formats)
        yield from super().quantized_norms(formats)
        pixels = (self.spec.size // self.shrink) ** 2
        yield QuantizedNorm(self.bn2, formats.residual.scale / pixels, formats.head.thresholds)


class BiRealNetwork(ResidualNetwork):
    """The ResNet-18 of ImageNet: 7x7 stem, max pooling, a shortcut round every convolution, PReLU."""

    stem_kernel, stem_stride = 7, 2
    activation_name, classifier_name = "prelu", "fc"


class VggNetwork(Network):
    """VGG-Small: six convolutions, of which every second pools, and recovery of the stem and the last one."""

    def __init__(self, spec: NetworkSpec, kit: Kit, recovery: Recovery) -> None:
        super().__init__(spec, kit, recovery)
        first, last = spec.widths[0], spec.widths[-1]
        self.conv0 = kit.stem(spec.channels, first, 3, 1)
        self.bn0 = kit.norm(first, 0.5)
        self.nonlinear0 = kit.activation(first)
        layers = [width for width in spec.widths for _ in range(spec.blocks)]
        self.depth = len(layers) - 1
        for index, (inputs, outputs) in enumerate(pairwise(layers), 1):
            self.add_module(f"conv{index}", kit.binary_conv(inputs, outputs, 1))
            self.add_module(f"bn{index}", kit.norm(outputs, 0.5))
        self.pooling = nn.MaxPool2d(2)
        self.nonlinear = kit.activation(last)
        shrink = 2 ** len(spec.widths)
        self._add_recovery(kit, (first, last), (shrink, 1))
        self.fc = kit.linear(last * (spec.size // shrink) ** 2, spec.classes)

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the stem and of the last convolution."""
        stem = current = self.nonlinear0(self.bn0(self.conv0(x)))
        for index in range(1, self.depth + 1):
            current = self.get_submodule(f"conv{index}")(current)
            if (index + 1) % self.spec.blocks == 0:
                current = self.pooling(current)
            # The published Hardtanh between two convolutions is left out: the second one's sign has the same
            # values and gradients without it.
            current = self.get_submodule(f"bn{index}")(current)
        return [stem, self.nonlinear(current)]

    def classify(self, fused: Tensor) -> Tensor:
        """Map recovered features (batch, width, h, w) to logits."""
        logits: Tensor = self.fc(fused.flatten(1))
        return logits

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms outside compact recovery; see QuantizedNorm."""
        yield _stem_norm(self.conv0, self.bn0, self.nonlinear0, formats)
        yield from super().quantized_norms(formats)
        for index in range(1, self.depth + 1):
            last = index == self.depth
            norm = as_norm(self.get_submodule(f"bn{index}"))
            yield QuantizedNorm(norm, 1.0, formats.residual.thresholds if last else SIGN_THRESHOLDS)


class RealNetwork(Network):
    """A teacher: a residual network of real numbers, without any of the paper's means."""

    def __init__(self, spec: NetworkSpec, kit: Kit, recovery: Recovery) -> None:
        super().__init__(spec, kit, recovery)
        self.precision = "real"
        first, last = spec.widths[0], spec.widths[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(spec.channels, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        for index, stage in enumerate(real_stages(first, spec.widths, [spec.blocks] * len(spec.widths))):
            self.add_module(f"layer{index + 1}", stage)
        self.linear = nn.Linear(last, spec.classes)

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the stem and of every stage."""
        maps = [self.stem(x)]
        for index in range(len(self.spec.widths)):
            maps.append(self.get_submodule(f"layer{index + 1}")(maps[-1]))
        return maps

    def classify(self, fused: Tensor) -> Tensor:
        """Map features (batch, width, h, w) to logits."""
        logits: Tensor = self.linear(fused.mean((2, 3)))
        return logits


BLOCKS: dict[Family, type[nn.Module]] = {"double": DoubleBlock, "basic": BasicBlock, "bireal": BiRealBlock}
CLASSES: dict[Family, type[Network]] = {
    "double": ResidualNetwork,
    "basic": ResidualNetwork,
    "bireal": BiRealNetwork,
    "vgg": VggNetwork,
    "real": RealNetwork,
}


def _stage(block: type[nn.Module], kit: Kit, inputs: int, outputs: int, *, stride: int, blocks: int) -> nn.Sequential:
    rest = [block(kit, outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(block(kit, inputs, outputs, stride), *rest)


def _stem_norm(conv: nn.Module, norm: nn.BatchNorm2d, activation: nn.Module, formats: Formats) -> QuantizedNorm:
    step, reach = INPUT_SCALE * formats.stem_weight.scale, reach_of(conv, formats.stem_weight)
    return QuantizedNorm(norm, step, formats.residual.thresholds, getattr(activation, "weight", None), reach)


def pixel_statistics(channels: int) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of pixels x / 255, (channels, 1, 1) each; grey pictures take those of all colours."""
    mean, deviation = (torch.tensor(rows).view(-1, 1, 1) for rows in (PIXEL_MEAN, PIXEL_DEVIATION))
    return (
        (mean, deviation)
        if channels == len(PIXEL_MEAN)
        else (mean.mean().view(1, 1, 1), deviation.mean().view(1, 1, 1))
    )


def create_network(
    name: str | NetworkSpec,
    *,
    precision: Precision = "hardware",
    recovery: Recovery | None = None,
    formats: Formats | None = None,
    backend: Backend = "light",
    seed: int | None = None,
) -> Network:
    """Build a network with fresh weights; the same seed gives the same weights.

    `recovery` is by default what the paper uses for the network. `formats` are the bit widths of hardware
    precision. `backend` selects the layers of hardware precision: plain torch ("light") or Brevitas, which only
    then has to be installed. Raises UnknownNetworkError, or PrecisionError for a precision that
    the network, or Brevitas, does not have.
    """
    spec = network_spec(name) if isinstance(name, str) else name
    prelu = spec.family == "bireal"
    if (precision == "real") != (spec.family == "real"):
        raise PrecisionError(f"{spec.name} has no {precision} precision: {_precisions(spec)}")
    kit = LightKit(prelu, formats or Formats()) if precision == "hardware" else PaperKit(prelu)
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        network = CLASSES[spec.family](spec, kit, recovery or spec.recovery)
        _initialise(network)
    return network if backend == "light" else to_brevitas(network)


def _precisions(spec: NetworkSpec) -> str:
    return "it is a teacher, of real precision" if spec.family == "real" else "choose hardware or paper"


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

    Raises PrecisionError for a network of paper precision or with real weights in its binary convolutions.
    """
    from model.brevitas_layers import BrevitasKit

    spec, formats = network.spec, network.formats
    if formats is None:
        raise PrecisionError(
            f"{spec.name} is of {network.precision} precision; Brevitas layers are for hardware precision"
        )
    if any(isinstance(module, BinaryWeights) and not module.binary_weights for module in network.modules()):
        raise PrecisionError(f"{spec.name} has real weights in its binary convolutions")
    twin = CLASSES[spec.family](spec, BrevitasKit(spec.family == "bireal", formats), network.recovery)
    twin.load_state_dict(network.state_dict())
    return twin.eval()


def binarize_weights(network: Network, enabled: bool) -> None:
    """Switch the weights of the binary convolutions between signs and real numbers (ImageNet, step 1)."""
    for module in network.modules():
        if isinstance(module, BinaryWeights):
            module.binary_weights = enabled


def leak_gradients(network: Network, share: float) -> None:
    """Let that share of the gradient pass where a hardware network clips its residual stream."""
    for module in network.modules():
        if isinstance(module, ClippedResidual):
            module.leak = share


def constrain(network: Network) -> None:
    """Move parameters, in place, to where hardware precision can hold them; call it after a training step.

    Batch norms in front of the classifier and PReLUs have slopes >= 0: a negative one leaves a multiplication,
    or a staircase that falls, which the hardware does not have. Weights of 8 bits stay in their range, and those that
    become signs within -1 .. 1: outside they get no gradient and would never come back. Paper precision has no such
    bounds.
    """
    if network.formats is None:
        return
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.weight.clamp_(min=1e-3)
            elif isinstance(module, nn.PReLU):
                module.weight.clamp_(min=0)
            elif isinstance(module, BinaryWeights) and module.binary_weights:
                module.get_parameter("weight").clamp_(-1, 1)
            elif (fmt := getattr(module, "format", None)) in (
                network.formats.stem_weight,
                network.formats.linear_weight,
            ):
                bound = fmt.hi * fmt.scale
                module.get_parameter("weight").clamp_(-bound, bound)


def calibrate(network: Network, images: Tensor) -> None:
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
