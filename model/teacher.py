# SPDX-License-Identifier: Apache-2.0
"""The ResNet-34 whose answers replace the labels in the ImageNet training (knowledge distillation)."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from model.augment import normalised
from model.errors import CheckpointError

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's colours x / 255: what published weights expect."""

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, h, w) to (batch, outputs, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        result: Tensor = (y + shortcut).relu()
        return result


class Teacher(nn.Module):
    """ResNet-34 with the parameter names of torchvision and timm, for evaluation only."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.sha256 = ""
        self.register_buffer("mean", torch.tensor(MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(-1, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = WIDTHS[0]
        for index, (outputs, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            first = BasicBlock(inputs, outputs, 2 if index else 1)
            rest = [BasicBlock(outputs, outputs, 1) for _ in range(count - 1)]
            self.add_module(f"layer{index + 1}", nn.Sequential(first, *rest))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (batch, 3, h, w) to logits (batch, classes)."""
        x = self.maxpool(self.bn1(self.conv1(normalised(images, self.mean, self.deviation))).relu())
        for index in range(len(WIDTHS)):
            x = self.get_submodule(f"layer{index + 1}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def load_teacher(path: Path, classes: int) -> Teacher:
    """Read the weights of a ResNet-34 from a safetensors file; raises CheckpointError."""
    try:
        data = path.read_bytes()
        tensors = load(data)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the teacher's weights {path}: {error}") from error
    teacher = Teacher(classes)
    wanted = {name: tuple(tensor.shape) for name, tensor in teacher.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    # Counters of batches are not always published, and not used.
    for name in sorted(name for name in wanted.keys() | found.keys() if not name.endswith("num_batches_tracked")):
        if wanted.get(name) != found.get(name):
            raise CheckpointError(
                f"{path} holds no ResNet-34 of {classes} classes: tensor {name} is {found.get(name, 'missing')}, "
                f"expected {wanted.get(name, 'none')}"
            )
    teacher.load_state_dict(tensors, strict=False)
    teacher.sha256 = hashlib.sha256(data).hexdigest()
    return teacher
