# SPDX-License-Identifier: Apache-2.0
"""Networks whose answers take the place of labels (knowledge distillation).

ImageNet's recipes learn from a ResNet-34, as the paper does; resnet20-distilled from a small network of real numbers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from model.augment import normalised
from model.blocks import real_stages
from model.checkpoint import load_checkpoint
from model.data import Part
from model.errors import CheckpointError, TrainingError
from model.networks import NetworkSpec

TeacherKind = Literal["resnet34", "real"]

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's colours x / 255: what published weights expect."""

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)


class ResNet34(nn.Module):
    """ResNet-34 with the parameter names of torchvision and timm, for evaluation only."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(-1, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for index, stage in enumerate(real_stages(WIDTHS[0], WIDTHS, BLOCKS)):
            self.add_module(f"layer{index + 1}", stage)
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (batch, 3, h, w) to logits (batch, classes)."""
        x = self.maxpool(self.bn1(self.conv1(normalised(images, self.mean, self.deviation))).relu())
        for index in range(len(WIDTHS)):
            x = self.get_submodule(f"layer{index + 1}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
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


def unseen_answers(outsiders: Sequence[Teacher], images: Tensor, batch: int) -> Tensor:
    """Return the mean of the answers to each image by the outsiders that have not seen it, (n, classes).

    Such answers are what a network can know of a new picture; those of a teacher that has learned the picture are
    hardly more than its label (Dao et al. 2021, cross-fitting). Raises TrainingError if there is an image that all
    have seen.
    """
    parts = [cast(Part, teacher.left_out).of(len(images)) for teacher in outsiders]
    asked = np.sum(parts, axis=0)
    if not asked.all():
        missing = np.count_nonzero(asked == 0)
        raise TrainingError(
            f"the teachers have seen {missing} of the images: give those of the other parts (--teacher)"
        )
    total: Tensor | None = None
    for teacher, part in zip(outsiders, parts, strict=True):
        unseen = torch.from_numpy(part).to(images.device)
        answers = teacher.all_answers(images[unseen], batch)
        total = answers.new_zeros(len(images), answers.shape[1]) if total is None else total
        total[unseen] += answers
    return cast(Tensor, total) / torch.from_numpy(asked).to(images.device)[:, None]


def load_teachers(
    paths: Sequence[Path], kind: TeacherKind | None, spec: NetworkSpec
) -> tuple[Teacher | None, tuple[Teacher, ...]]:
    """Read the teacher, if any, that has seen the whole data set, and the outsiders; raises CheckpointError."""
    teachers = [load_teacher(path, kind, spec) for path in paths]
    seen = [teacher for teacher in teachers if teacher.left_out is None]
    if len(seen) > 1:
        raise CheckpointError(
            f"{len(seen)} teachers have seen the whole data set: give one, and outsiders (--leave-out)"
        )
    return (seen[0] if seen else None), tuple(teacher for teacher in teachers if teacher.left_out is not None)


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
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    # Counters of batches are not always published, and not used.
    for name in sorted(name for name in wanted.keys() | found.keys() if not name.endswith("num_batches_tracked")):
        if wanted.get(name) != found.get(name):
            raise CheckpointError(
                f"{path} holds no ResNet-34 of {classes} classes: tensor {name} is {found.get(name, 'missing')}, "
                f"expected {wanted.get(name, 'none')}"
            )
    network.load_state_dict(tensors, strict=False)
    return Teacher(network, hashlib.sha256(data).hexdigest())
