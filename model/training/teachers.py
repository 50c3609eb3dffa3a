# SPDX-License-Identifier: Apache-2.0
"""Networks whose answers take the place of labels (knowledge distillation).

ImageNet's recipes learn from a ResNet-34, as the paper does; resnet20-crossed from small networks of real numbers.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from model.checkpoint import load_checkpoint, load_weights
from model.data import Part
from model.errors import CheckpointError
from model.networks import NetworkSpec
from model.networks.blocks import RealBlock, add_stages, stage_outputs
from model.networks.pixels import normalised
from model.training.recipe import TeacherKind

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)


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


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, which maps uint8 images to logits, and the digest of its weights.

    An outsider has not seen the part `left_out` of its data set.
    """

    network: nn.Module
    sha256: str
    left_out: Part | None = None

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    def answers(self, images: Tensor) -> Tensor:
        """Return a probability for each class, (batch, classes)."""
        logits: Tensor = self.network(images)
        return logits.float().softmax(1)

    def all_answers(self, images: Tensor, batch: int) -> Tensor:
        """Return the mean of the answers to each uint8 image and to its mirror image, (n, classes).

        Images are looked at in batches of one size, the last one filled up: a compiled network is compiled for it.
        """
        rows = []
        for start in range(0, len(images), batch):
            picks = torch.arange(start, start + batch).clamp(max=len(images) - 1)
            part = images[picks].contiguous(memory_format=torch.channels_last)
            rows.append((self.answers(part) + self.answers(part.flip(3))) / 2)
        return torch.cat(rows)[: len(images)]


def load_teacher(path: Path, kind: TeacherKind | None, spec: NetworkSpec) -> Teacher:
    """Read the weights of a teacher of the network `spec`; raises CheckpointError.

    "real" is a checkpoint of real precision; else they are those of a ResNet-34 in a safetensors file.
    """
    if kind != "real":
        return _load_resnet34(path, spec.classes)
    network, card = load_checkpoint(path, precision="real")
    if network.spec.dataset != spec.dataset:
        raise CheckpointError(f"{path} was trained on {network.spec.dataset}: no teacher of {spec.name}")
    return Teacher(network, card.sha256, None if card.left_out is None else Part.read(card.left_out))


def _load_resnet34(path: Path, classes: int) -> Teacher:
    try:
        data = path.read_bytes()
        tensors = load(data)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the teacher's weights {path}: {error}") from error
    network = ResNet34(classes)
    load_weights(network, tensors, path, f"a ResNet-34 of {classes} classes", counters=False)
    return Teacher(network, hashlib.sha256(data).hexdigest())
