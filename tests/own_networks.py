# SPDX-License-Identifier: Apache-2.0
"""Networks that Brevitas' users write, small ones by topology, with weights and batch norms that look trained.

`python -m tests.own_networks NAME ...` builds whole ones in build/own: those of brevitas_examples.bnn_pynq, called as
there (tfc_1w1a, lfc_1w2a, cnv_2w2a), and resnet8_4w4a or resnet8_8w8a, with 1,000 pictures of digits. What follows `--`
goes to flows/build.py.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.export import export_qonnx
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Int32Bias
from brevitas_examples.bnn_pynq.models import model_with_cfg
from brevitas_examples.bnn_pynq.models.common import CommonActQuant, CommonWeightQuant
from brevitas_examples.bnn_pynq.models.tensor_norm import TensorNorm
from numpy.typing import NDArray
from sklearn import datasets
from torch import Tensor, nn

CALIBRATION = 100
"""Pictures from which a whole network's batch norms take their statistics."""
Network = tuple[nn.Module, tuple[int, ...]]
"""A network, and the shape of a sample."""


class SignedPixels(nn.Module):
    """2 x - 1, as the networks of bnn_pynq begin."""

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * x - torch.tensor([1.0])


def _act(bits: int) -> nn.Module:
    return qnn.QuantIdentity(act_quant=CommonActQuant, bit_width=bits)


def _conv(inputs: int, outputs: int, bits: int) -> nn.Module:
    return _spread(
        qnn.QuantConv2d(inputs, outputs, 3, bias=False, weight_quant=CommonWeightQuant, weight_bit_width=bits)
    )


def _dense(inputs: int, outputs: int, bits: int) -> nn.Module:
    return _spread(qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=CommonWeightQuant, weight_bit_width=bits))


def _spread(layer: Any) -> nn.Module:
    """Weights over all of -1 .. 1, the range of their quantiser."""
    nn.init.uniform_(layer.weight, -1, 1)
    module: nn.Module = layer
    return module


def mlp(weights: int, acts: int) -> Network:
    """TFC of bnn_pynq, smaller."""
    layers: list[nn.Module] = [nn.Flatten(), SignedPixels(), _act(acts), nn.Dropout(0.2)]
    for inputs, outputs in ((64, 12), (12, 12)):
        layers += [_dense(inputs, outputs, weights), nn.BatchNorm1d(outputs), _act(acts), nn.Dropout(0.2)]
    return nn.Sequential(*layers, _dense(12, 10, weights), TensorNorm()), (1, 8, 8)


def cnv(weights: int, acts: int) -> Network:
    """CNV of bnn_pynq, smaller, with more than a pixel in front of the dense layers."""
    layers: list[nn.Module] = [SignedPixels(), qnn.QuantIdentity(act_quant=CommonActQuant, bit_width=8)]
    for inputs, outputs, pool in ((3, 4, False), (4, 4, True), (4, 8, False)):
        layers += [_conv(inputs, outputs, weights), nn.BatchNorm2d(outputs, eps=1e-4), _act(acts)]
        layers += [nn.MaxPool2d(2)] * pool
    layers += [nn.Flatten(), _dense(8 * 2 * 3, 12, weights), nn.BatchNorm1d(12), _act(acts)]
    return nn.Sequential(*layers, _dense(12, 10, weights), TensorNorm()), (3, 12, 14)


class Residual(nn.Module):
    """A block of ResNet-8; one quantiser serves both sides of the sum."""

    def __init__(self, inputs: int, outputs: int, shared: nn.Module, bits: int, equal: bool) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.branch = nn.Sequential(
            scaled_conv(inputs, outputs, bits, stride=stride, padding=1), nn.BatchNorm2d(outputs), relu(bits),
            scaled_conv(outputs, outputs, bits, padding=1), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = (
            nn.Sequential(scaled_conv(inputs, outputs, bits, kernel=1, stride=stride), nn.BatchNorm2d(outputs))
            if stride > 1
            else None
        )
        self.shared = shared if self.shortcut is None and equal else relu(bits)
        self.total = relu(bits)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shared(self.shortcut(x))
        total: Tensor = self.total(self.shared(self.branch(x)).value + shortcut.value)
        return total


def relu(bits: int) -> nn.Module:
    return qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)


def scaled_conv(inputs: int, outputs: int, bits: int, kernel: Any = 3, **options: Any) -> nn.Module:
    """A convolution whose weights have a learned scale for each output."""
    quant = Int8WeightPerChannelFloat
    return qnn.QuantConv2d(inputs, outputs, kernel, bias=False, weight_quant=quant, weight_bit_width=bits, **options)


class ResNet8(nn.Module):
    """ResNet-8 of MLPerf Tiny, of any width."""

    def __init__(self, width: int, bits: int, equal: bool) -> None:
        super().__init__()
        first = relu(bits)
        self.stem = nn.Sequential(scaled_conv(3, width, 8, padding=1), nn.BatchNorm2d(width), first)
        blocks, inputs = [], width
        for outputs in (width, 2 * width, 4 * width):
            blocks.append(Residual(inputs, outputs, first, bits, equal))
            inputs, first = outputs, blocks[-1].total
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pooled = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.linear = qnn.QuantLinear(
            4 * width, 10, bias=True, weight_quant=Int8WeightPerTensorFloat, bias_quant=Int32Bias
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        logits: Tensor = self.linear(self.pooled(self.pool(x.value).flatten(1)))
        return logits


def resnet8(bits: int, *, width: int = 4, size: int = 8, equal: bool = True) -> Network:
    """`equal`: both sides of a sum have the same scale."""
    return ResNet8(width, bits, equal), (3, size, size)


class Mixed(nn.Module):
    """Kernels and pictures that are no squares, depthwise and grouped, a bias, padded and rounding pools, a concat."""

    def __init__(self) -> None:
        super().__init__()
        self.input = qnn.QuantIdentity(bit_width=6)
        self.wide = scaled_conv(2, 6, 5, kernel=(3, 1), padding=(1, 0))
        self.act1 = relu(4)
        self.depthwise = scaled_conv(6, 6, 4, groups=6, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.act2 = qnn.QuantIdentity(bit_width=4)
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.average = nn.AvgPool2d(2, 1)
        self.act3 = qnn.QuantIdentity(bit_width=4)
        self.biased = qnn.QuantConv2d(6, 4, 2, bias=True, weight_bit_width=3)
        self.linear = qnn.QuantLinear(10 * 3 * 4, 5, bias=True, weight_bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.wide(self.input(x))).value
        x = self.pool(self.act2(self.norm(self.depthwise(x))))
        x = torch.cat([self.act3(self.biased(x)), self.act3(self.average(x))], 1)
        result: Tensor = self.linear(x.flatten(1))
        return result


class Doubled(nn.Module):
    """x + x, or what a function makes of x twice."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor] = torch.add) -> None:
        super().__init__()
        self.join = join
        self.input = qnn.QuantIdentity(bit_width=4)
        self.act = relu(4)
        self.linear = qnn.QuantLinear(16, 5, bias=False, weight_bit_width=4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x.flatten(1))
        result: Tensor = self.linear(self.act(self.join(x, x)))
        return result


def mixed() -> Network:
    return Mixed(), (2, 8, 10)


NETWORKS: dict[str, Callable[[], Network]] = {
    "mlp_1w1a": lambda: mlp(1, 1),
    "mlp_1w2a": lambda: mlp(1, 2),
    "mlp_2w2a": lambda: mlp(2, 2),
    "cnv_1w1a": lambda: cnv(1, 1),
    "cnv_1w2a": lambda: cnv(1, 2),
    "cnv_2w2a": lambda: cnv(2, 2),
    "resnet8_4": lambda: resnet8(4),
    "resnet8_8": lambda: resnet8(8),
    "resnet8_unequal": lambda: resnet8(4, equal=False),
    "mixed": mixed,
    "doubled": lambda: (Doubled(), (1, 4, 4)),
}


def pixels(shape: tuple[int, ...], count: int = 6, seed: int = 5) -> NDArray[np.uint8]:
    """Random pictures, one black and one white."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    images[1 % count], images[2 % count] = 0, 255
    return images


def whole(name: str) -> Network:
    """A network in the size that its authors gave it."""
    if name.startswith("resnet8"):
        return resnet8(int(name[8]), width=16, size=32)
    return model_with_cfg(name, pretrained=False)[0], (3, 32, 32) if name.startswith("cnv") else (1, 28, 28)


def digits(shape: tuple[int, ...], count: int = 1000) -> NDArray[np.uint8]:
    """Handwritten digits of scikit-learn in any size, each in a colour of its own."""
    images = torch.from_numpy(datasets.load_digits().images[:count] * (255 / 16))[:, None]
    resized = nn.functional.interpolate(images, shape[1:], mode="bilinear").numpy()
    tints = np.random.default_rng(5).uniform(0.3, 1, (count, shape[0], 1, 1)) if shape[0] > 1 else 1
    return (resized * tints).astype(np.uint8)


def trained(network: nn.Module, images: NDArray[np.uint8]) -> nn.Module:
    """Batch norms of both signs and statistics of these pictures."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            gamma = torch.rand(module.num_features, generator=generator) + 0.3
            module.weight.data = gamma * torch.where(torch.rand(gamma.shape, generator=generator) < 0.2, -1, 1)
            module.bias.data = torch.randn(gamma.shape, generator=generator) * 0.2
            module.momentum = None
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(images).float() / 255)
        network.eval()
        if isinstance(network, ResNet8):  # every label shall be given
            network.linear.bias.data -= network(torch.from_numpy(images).float() / 255).mean(0)
    return network


def export(
    build: Callable[[], Network],
    folder: Path,
    pictures: Callable[[tuple[int, ...]], NDArray[np.uint8]] = pixels,
    *,
    dynamo: bool = False,
) -> tuple[Path, Path]:
    """Write model.onnx and samples.npy, as a user would; samples are pictures / 255."""
    torch.manual_seed(1)
    network, shape = build()
    images = pictures(shape)
    samples = (torch.from_numpy(images).float() / 255).numpy()
    network = trained(network, images[:CALIBRATION] if len(images) > CALIBRATION else pixels(shape, 32))
    folder.mkdir(parents=True, exist_ok=True)
    path, inputs = folder / "own.onnx", folder / "samples.npy"
    export_qonnx(network, args=torch.from_numpy(samples[:1]), export_path=str(path), dynamo=dynamo)
    np.save(inputs, samples)
    return path, inputs


def row(summary: dict[str, Any], seconds: float) -> str:
    """A build's row of the table in docs/your-network.md; its time is that of processors."""
    speed, used = summary["performance"], summary["resources"]
    cells = [
        summary["network"].upper(), f"{speed['interval_cycles']:,}", f"{speed['fps']:,.0f}", f"{used['lut']:,}",
        f"{used['ff']:,}", f"{used['bram36']:g}", used["dsp"], f"{seconds:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: list[str]) -> int:
    """Build the networks that are named, one after the other, and print their rows; how many of them failed."""
    names, options, rows = arguments, [], []
    if "--" in arguments:
        names, options = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    failed = 0
    for name in names:
        folder = Path("build") / "own" / name
        model, inputs = export(functools.partial(whole, name), folder, digits)
        given = ["--network", name, "--model", model, "--inputs", inputs, "--output-dir", folder / "build"]
        before = os.times()
        if subprocess.run([sys.executable, "flows/build.py", *given, *options], check=False).returncode:
            failed += 1
        elif (summary := folder / "build" / "report" / "summary.json").exists():
            after = os.times()
            seconds = after.children_user + after.children_system - before.children_user - before.children_system
            rows.append(row(json.loads(summary.read_text()), seconds))
    print("\n".join(rows))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
