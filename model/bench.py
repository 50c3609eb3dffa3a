# SPDX-License-Identifier: Apache-2.0
"""Measures the speed of a training step: python -m model.bench (make bench-train), writes bench/train.json.

A step is forward and backward of one batch. All ways to do it take turns in one run, so that what else the
machine does meets all of them; the figure is the median. Then torch's profiler says what the time goes to.
"""

import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from model.cli import run
from model.networks import Network, create_network, to_brevitas
from model.training.restriction import restricted_loss
from model.training.teachers import CifarResNet

Step = Callable[[Tensor, Tensor], None]

NETWORK = "resnet20"
REFERENCE = "float32"
KINDS = {
    **dict.fromkeys(("convolution_backward", "mkldnn_convolution"), "convolution"),
    **dict.fromkeys(("native_batch_norm", "native_batch_norm_backward"), "batch norm"),
    **dict.fromkeys(("where", "gt", "lt", "ge", "clamp", "hardtanh_backward"), "comparing and clipping"),
    **dict.fromkeys(("mul", "div", "add", "sub", "round", "abs"), "scaling, adding and rounding"),
    **dict.fromkeys(("copy", "fill", "clone"), "copying and filling"),
}
"""What the operators of torch are for that take most of a step; the others are "other"."""
COMPILED, COMPILED_GRAPH = "compiled", "CompiledFxGraph"
"""The kind of what torch.compile made, and what its operators have in their names."""


def _plain(network: Callable[[Tensor], Tensor]) -> Step:
    return lambda images, labels: functional.cross_entropy(network(images), labels).backward()


def _restricted(network: Network) -> Step:
    return lambda images, labels: restricted_loss(network, images, labels)[0].backward()


def make_steps() -> dict[str, Step]:
    """Return forward and backward of a batch (images uint8, labels) in every way that is compared."""
    reference = CifarResNet(3)  # the full-precision ResNet-20 of CIFAR-10, the yardstick
    hardware = create_network(NETWORK, seed=0)
    brevitas = to_brevitas(hardware)
    paper = create_network(NETWORK, precision="paper", seed=0)
    for network in (reference, hardware, brevitas, paper):
        network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    steps = {REFERENCE: _plain(reference)}
    for name, network in (("hardware", hardware), ("paper", paper)):
        steps[name] = _plain(network)
        steps[f"{name}, restriction"] = _restricted(network)
    steps["hardware, compiled"] = _plain(torch.compile(hardware, dynamic=False))
    # Brevitas' tensors do not go through the attention map, so its step is measured without restriction.
    steps["hardware in Brevitas"] = _plain(brevitas)
    return steps


def random_batch(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Return images (batch, 3, size, size) uint8 and labels (batch,)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.randint(0, 10, (batch,), generator=generator)


def measure(steps: dict[str, Step], images: Tensor, labels: Tensor, rounds: int) -> dict[str, float]:
    """Return the median seconds of a step in each way."""
    for step in steps.values():
        step(images, labels)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in track(range(rounds), "measuring", transient=True):
        for name, step in steps.items():
            begin = time.perf_counter()
            step(images, labels)
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def profiled(step: Step, images: Tensor, labels: Tensor, rounds: int) -> dict[str, float]:
    """Return the milliseconds of a step that each kind of operator takes, and the number of operators called."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(rounds):
            step(images, labels)
    kinds: Counter[str] = Counter()
    for event in found.key_averages():
        operator = event.key.removeprefix("aten::").removesuffix("_")
        kind = COMPILED if COMPILED_GRAPH in operator else KINDS.get(operator, "other")
        kinds[kind] += event.self_cpu_time_total / 1e3 / rounds
        kinds["calls"] += event.count / rounds
    return dict(kinds)


def main(
    *,
    output: Annotated[Path, typer.Option(help="JSON to write")] = Path("bench/train.json"),
    batch: Annotated[int, typer.Option(min=1, help="images per step")] = 128,
    size: Annotated[int, typer.Option(min=8, help="pixels per side")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="steps in each way")] = 20,
    threads: Annotated[int, typer.Option(min=1, help="processor threads")] = 2,
) -> None:
    """Compare the speed of training steps."""
    torch.set_num_threads(threads)
    steps, (images, labels) = make_steps(), random_batch(batch, size)
    seconds = measure(steps, images, labels, rounds)
    table = Table("step", "images/s", "seconds", "times float32", title=f"{NETWORK}, batch {batch}, {threads} threads")
    rows: dict[str, dict[str, float | dict[str, float]]] = {}
    for name, value in seconds.items():
        ratio = value / seconds[REFERENCE]
        rows[name] = {"images_per_second": batch / value, "seconds": value, "times_float32": ratio}
        rows[name]["profile_ms"] = profiled(steps[name], images, labels, max(1, rounds // 4))
        table.add_row(name, f"{batch / value:.0f}", f"{value:.3f}", f"{ratio:.2f}")
    setting = {"network": NETWORK, "batch": batch, "size": size, "rounds": rounds, "threads": threads}
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({**setting, **machine, "steps": rows}, indent=2) + "\n")
    Console().print(table)


if __name__ == "__main__":
    run(main)
