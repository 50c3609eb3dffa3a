# SPDX-License-Identifier: Apache-2.0
"""Training in several processes, which torchrun starts: what they share, and batch norms over all of them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from model.errors import TrainingError

CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """The processes that train together: this one's rank, how many they are, and this one's device."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def is_first(self) -> bool:
        """True in the process that writes files and talks to the user."""
        return self.rank == 0

    @property
    def has_bfloat16(self) -> bool:
        """True where the device itself multiplies bfloat16; elsewhere it takes many times as long as float32."""
        if self.device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # the last one: of ARM

    def arithmetic(self, precision: Literal["float32", "bfloat16"]) -> torch.autocast:
        """Return the context of a step's arithmetic: bfloat16, where it is asked for and the device has it."""
        # It is a quarter faster there; signs and small integers are exact in it.
        enabled = precision == "bfloat16" and self.has_bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def sums(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all processes."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def share(self, count: int) -> slice:
        """Return which of the `count` items of a batch are this process'; raises TrainingError for unequal shares."""
        if count % self.size:
            raise TrainingError(f"a batch of {count} cannot be shared equally by {self.size} processes")
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined_world() -> Iterator[World]:
    """Join the processes that torchrun started, or be alone; raises TrainingError if they do not meet.

    Each process takes its own GPU where there is CUDA.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    device = CPU
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if size == 1:
        yield World(device=device)
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the processes did not meet: {reason}; start them with torchrun") from error
    try:
        world = World(dist.get_rank(), size, device)
        yield world
        # All leave together. One that ends right after a sum can abort, as gloo's threads may still hold tensors of an
        # interpreter that is being torn down (pytorch/pytorch pull request 179291).
        with suppress(RuntimeError):  # another one failed, and says why
            world.wait()
    finally:
        dist.destroy_process_group()


class _SumOverProcesses(torch.autograd.Function):
    """The sum of every process' tensor; each process gets the gradients of all."""

    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @override
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _SumOverProcesses.forward(ctx, grads[0])


class _SharedStatistics(_BatchNorm):
    """A batch norm whose statistics in training are those of all processes' batches together.

    torch's SyncBatchNorm is the same on CUDA alone. All processes have equally large batches.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept what the batch norm that this one replaces accepts."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (batch, channels, ...) with the statistics of all batches."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        local_variance, local_mean = torch.var_mean(values, axes, correction=0)
        # Doubles: the squares of the means are subtracted from each other.
        local = torch.stack((local_mean.double(), local_variance.double() + local_mean.double().square()))
        mean, square = _SumOverProcesses.apply(local) / dist.get_world_size()
        variance = (square - mean.square()).clamp(min=0)
        self._track(mean.detach(), variance.detach(), input.numel() // input.shape[1] * dist.get_world_size())
        shape = [-1 if axis == 1 else 1 for axis in range(input.dim())]
        slope = self.weight * (variance + self.eps).rsqrt().to(self.weight.dtype)
        bias = self.bias - mean.to(self.weight.dtype) * slope
        result: Tensor = (values * slope.view(shape) + bias.view(shape)).to(input.dtype)
        return result

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), momentum)


class SharedBatchNorm1d(_SharedStatistics, nn.BatchNorm1d):
    """BatchNorm1d over all processes."""


class SharedBatchNorm2d(_SharedStatistics, nn.BatchNorm2d):
    """BatchNorm2d over all processes."""


def share_statistics(network: nn.Module) -> None:
    """Turn the batch norms of a network, in place, into ones over all processes; parameters, buffers and mode stay."""
    kinds: dict[type, type] = {nn.BatchNorm1d: SharedBatchNorm1d, nn.BatchNorm2d: SharedBatchNorm2d}
    for module in network.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
