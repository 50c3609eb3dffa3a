# SPDX-License-Identifier: Apache-2.0
"""Networks whose answers take the place of labels (knowledge distillation).

ImageNet's recipes learn from a ResNet-34, as the paper does; published ResNets of CIFAR-10 are there for recipes of
one's own. They see the views that the network sees.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from model.checkpoint import load_weights
from model.errors import CheckpointError
from model.networks.blocks import add_stages, stage_outputs
from model.networks.light import OptionAShortcut
from model.networks.pixels import normalised
from model.training.recipe import TeacherKind

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)

CIFAR_WIDTHS = (16, 32, 64)


class RealBlock(nn.Module):
    """Two 3x3 convolutions of real numbers and a shortcut (He et al. 2015).

    Where the shape changes, the shortcut is `downsample`, by default a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample
        if downsample is None and (stride != 1 or inputs != outputs):
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        result: Tensor = (y + shortcut).relu()
        return result


class ResNet34(nn.Module):
    """ResNet-34 with the parameter names of torchvision and timm, for evaluation only."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        add_stages(self, RealBlock, WIDTHS, BLOCKS)
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (batch, 3, h, w) to logits (batch, classes)."""
        x = self.maxpool(self.bn1(self.conv1(normalised(images))).relu())
        logits: Tensor = self.fc(stage_outputs(self, x, len(WIDTHS))[-1].mean((2, 3)))
        return logits


class CifarResNet(nn.Module):
    """A ResNet of CIFAR-10 (He et al. 2015, section 4.2): three stages of 16, 32 and 64 channels, shortcut A.

    Parameters have the names of github.com/akamaster/pytorch_resnet_cifar10, whose weights it takes.
    """

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CIFAR_WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(CIFAR_WIDTHS[0])
        add_stages(self, _option_a_block, CIFAR_WIDTHS, [blocks] * len(CIFAR_WIDTHS))
        self.linear = nn.Linear(CIFAR_WIDTHS[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (batch, 3, h, w) to logits (batch, classes)."""
        x = self.bn1(self.conv1(normalised(images))).relu()
        logits: Tensor = self.linear(stage_outputs(self, x, len(CIFAR_WIDTHS))[-1].mean((2, 3)))
        return logits


def _option_a_block(inputs: int, outputs: int, stride: int) -> RealBlock:
    return RealBlock(inputs, outputs, stride, None if inputs == outputs else OptionAShortcut(inputs, outputs))


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, which maps uint8 images to logits, and the digest of its weights."""

    network: nn.Module
    sha256: str

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    def answers(self, images: Tensor, batch: int, temperature: float = 1.0) -> Tensor:
        """Return a probability for each class, (n, classes), of uint8 images that are looked at in batches."""
        # A whole epoch's do not fit into memory at once.
        logits = torch.cat([self.network(part) for part in images.split(batch)])
        return (logits.float() / temperature).softmax(1)


def load_teacher(path: Path, kind: TeacherKind | None, classes: int) -> Teacher:
    """Read the weights of a published ResNet, by default ResNet-34, in a safetensors file; raises CheckpointError."""
    try:
        data = path.read_bytes()
        tensors = load(data)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the teacher's weights {path}: {error}") from error
    if kind != "cifar_resnet":
        network: nn.Module = ResNet34(classes)
        name = f"a ResNet-34 of {classes} classes"
    else:
        blocks = len({match[1] for key in tensors if (match := re.match(r"layer1\.(\d+)\.", key))})
        network = CifarResNet(blocks, classes)
        name = f"a ResNet-{6 * blocks + 2} of CIFAR-10"
    load_weights(network, tensors, path, name, counters=False)
    return Teacher(network, hashlib.sha256(data).hexdigest())
