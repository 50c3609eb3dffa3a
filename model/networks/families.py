# SPDX-License-Identifier: Apache-2.0
"""One definition per family of networks, which every kit of layers builds.

Parameters carry the names of the paper's published code.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import override

from model.errors import DataError, SizeError
from model.networks import blocks
from model.networks.blocks import QuantizedNorm, add_stages, as_norm, norm_between, stage_outputs
from model.networks.kit import Kit, Precision
from model.networks.pixels import normalised
from model.networks.quantizers import INPUT_SCALE, Formats
from model.networks.recovery import CompactRecovery, GatherStages
from model.networks.registry import Family, NetworkSpec, Recovery


class Network(nn.Module):
    """An IR2Net network: feature maps of all stages, information recovery, classifier."""

    def __init__(self, spec: NetworkSpec, kit: Kit, recovery: Recovery) -> None:
        super().__init__()
        self.spec = spec
        self.recovery = recovery
        self.formats = kit.formats
        self.precision: Precision = "paper" if kit.formats is None else "hardware"

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
        return images.float() if self.precision == "hardware" else normalised(images)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, channels, size, size) to float32 logits (batch, classes).

        Images are uint8, or floats as `values` returns them.
        """
        return self.logits_and_features(x)[0]

    def logits_and_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the last stage's feature map, which information restriction attends to."""
        values = self.values(x)
        features = self.stages(values * INPUT_SCALE if self.precision == "hardware" else values)
        return self.classify(self._recover(features)), features[-1]

    def stages(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps that recovery uses, the last stage's last."""
        raise NotImplementedError

    def classify(self, fused: Tensor) -> Tensor:
        """Map recovered features (batch, width, h, w) to logits."""
        raise NotImplementedError

    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        """Yield the batch norms outside blocks and compact recovery."""
        if self.recovery == "full":
            layers = (self.fusion, self.fbn, self.fprelu)
            yield norm_between(layers, formats, formats.residual.scale, formats.fusion_weight)

    def _add_recovery(self, kit: Kit, widths: Sequence[int], pools: Sequence[int]) -> None:
        """Add the recovery of feature maps with `widths` channels; map i is `pools[i]` times the last one's size."""
        outputs = widths[-1]
        size, shrink, pooled = self.spec.size, self.spec.shrink, self.recovery != "none"
        if size % shrink and (pooled or self.spec.family == "bireal" or size < shrink):
            raise SizeError(
                f"{self.spec.name} takes no pictures of {size} x {size}: it pools maps of all stages to one size, "
                f"which goes with multiples of {shrink} (--recovery {self.recovery})"
            )
        if not pooled:
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
        # After the stem, the picture of ImageNet's networks is halved once more.
        self.stem_pool: nn.Module = nn.Identity() if self.stem_stride == 1 else nn.MaxPool2d(3, stride=2, padding=1)
        add_stages(self, partial(blocks.BLOCKS[spec.family], kit), spec.widths, [spec.blocks] * len(spec.widths))
        shrink = [2**index for index in reversed(range(len(spec.widths)))]
        self._add_recovery(kit, (first, *spec.widths), (shrink[0] * self.stem_stride, *shrink))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.bn2 = nn.BatchNorm1d(last)
        self.quantizer2 = kit.head_quantizer()
        self.add_module(self.classifier_name, kit.linear(last, spec.classes))

    @override
    def stages(self, x: Tensor) -> list[Tensor]:
        stem = self.get_submodule(self.activation_name)(self.bn1(self.conv1(x)))
        return [stem, *stage_outputs(self, self.stem_pool(stem), len(self.spec.widths))]

    @override
    def classify(self, fused: Tensor) -> Tensor:
        head = self.quantizer2(self.bn2(self.pool(fused).flatten(1)))
        logits: Tensor = self.get_submodule(self.classifier_name)(head)
        return logits

    @override
    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        stem = (self.conv1, self.bn1, self.get_submodule(self.activation_name))
        yield norm_between(stem, formats, INPUT_SCALE, formats.stem_weight)
        yield from super().quantized_norms(formats)
        pixels = (-(-self.spec.size // self.spec.shrink)) ** 2  # a stride of 2 keeps the last of an odd number
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
        self._add_recovery(kit, (first, last), (spec.shrink, 1))
        self.fc = kit.linear(last * (spec.size // spec.shrink) ** 2, spec.classes)

    @override
    def stages(self, x: Tensor) -> list[Tensor]:
        stem = current = self.nonlinear0(self.bn0(self.conv0(x)))
        for index in range(1, self.depth + 1):
            current = self.get_submodule(f"conv{index}")(current)
            if (index + 1) % self.spec.blocks == 0:
                current = self.pooling(current)
            # The published Hardtanh between two convolutions is left out: the second one's sign has the same
            # values and gradients without it.
            current = self.get_submodule(f"bn{index}")(current)
        return [stem, self.nonlinear(current)]

    @override
    def classify(self, fused: Tensor) -> Tensor:
        logits: Tensor = self.fc(fused.flatten(1))
        return logits

    @override
    def quantized_norms(self, formats: Formats) -> Iterator[QuantizedNorm]:
        yield norm_between((self.conv0, self.bn0, self.nonlinear0), formats, INPUT_SCALE, formats.stem_weight)
        yield from super().quantized_norms(formats)
        for index in range(1, self.depth + 1):
            last = index == self.depth
            norm = as_norm(self.get_submodule(f"bn{index}"))
            yield QuantizedNorm(norm, 1.0, formats.residual.thresholds if last else blocks.SIGN_THRESHOLDS)


CLASSES: dict[Family, type[Network]] = {
    "double": ResidualNetwork,
    "basic": ResidualNetwork,
    "bireal": BiRealNetwork,
    "vgg": VggNetwork,
}
