# SPDX-License-Identifier: Apache-2.0
"""One training run, step by step. Everything random follows from the seed and the step's number."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from model.checkpoint import load_weights
from model.errors import CheckpointError, TrainingError
from model.networks import Network
from model.networks.adjust import binarize_weights, constrain, standardize_weights
from model.training.batches import make_batches
from model.training.distributed import World, share_statistics
from model.training.job import Job
from model.training.recipe import Adam, Phase
from model.training.restriction import restricted_loss
from model.training.schedule import Position, Schedule
from model.training.state import State, copied_tensors, read_state


@dataclass(frozen=True)
class StepResult:
    """What a step showed, over all processes.

    `loss` and `accuracy` (0 .. 1) are the batch's; `erased` is the share of pixels that information restriction
    erased, None where it did nothing.
    """

    learning_rate: float
    loss: float
    accuracy: float
    erased: float | None


class Objective(nn.Module):
    """The loss of a batch, as one module: so that its gradients are averaged once over several processes."""

    def __init__(self, network: Network, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, images: Tensor, targets: Tensor, threshold: float | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return loss, logits and the share erased; `targets` are labels (n,) or probabilities (n, classes).

        Without a `threshold` there is no information restriction.
        """
        if threshold is not None:
            return restricted_loss(self.network, images, targets, threshold)
        logits: Tensor = self.network(images)
        values = logits.to(torch.promote_types(logits.dtype, torch.float32))
        # The factor keeps the gradients' size (Hinton et al. 2015 have its square, for logits far below it).
        return functional.cross_entropy(values / self.temperature, targets) * self.temperature, logits, None


class Trainer:
    """A run: network, optimizer, schedule and the number of steps done.

    `good` is the newest state whose loss is known to be a number. `compiled` is for long runs: after a
    minute or two at the start, steps are shorter, and equal but for roundings.
    """

    # True where steps are recorded once and played back.
    recorded = False

    def __init__(self, network: Network, job: Job, world: World | None = None, *, compiled: bool = False) -> None:
        self.network = network
        self.job = job
        self.world = World() if world is None else world
        self.schedule = Schedule(job.recipe, len(job.data))
        self.step = 0
        self._identity = job.identity(network)
        self._batches = make_batches(job.data, self.schedule, job.seed, self.world)
        if self.world.size > 1:
            share_statistics(network)
        network.to(self.world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.train()
        standardize_weights(network, job.recipe.standardized_weights)
        self.optimizer = self._fresh_optimizer()
        self._objective: nn.Module = Objective(network, job.recipe.temperature)
        if compiled:
            # The loss, not the network: what is measured and exported stays as it is, to the last bit.
            self._objective.compile(dynamic=False)
        if self.world.size > 1:
            self._objective = DistributedDataParallel(self._objective, broadcast_buffers=False)
        self._targets = job.targets.begin(job.recipe, self.world, compiled=compiled)
        self.good = self._state()

    @property
    def finished(self) -> bool:
        """True when every step of the schedule is done."""
        return self.step >= self.schedule.steps

    @property
    def epoch(self) -> float:
        """Passes over the training images so far."""
        return self.step / self.schedule.steps_per_epoch

    @property
    def ends_epoch(self) -> bool:
        """True after the last step of an epoch."""
        return self.step % self.schedule.steps_per_epoch == 0

    def advance(self) -> StepResult:
        """Do one step; raises TrainingError, and leaves `good` alone, if the loss is not a number."""
        position = self.schedule.at(self.step)
        before = self._enter(position)
        batch = self._batches.at(self.step)
        with self.world.arithmetic(position.phase.precision):
            targets = self._targets(batch)
            loss, logits, erased = self._objective(batch.images, targets, self._threshold(position.phase))
        sums = self.world.sums(figures(loss, logits, erased, batch.labels).tolist())
        value, accuracy, share = (total / self.world.size for total in sums)
        self._check(value, position)
        self.good = before
        self._learn(loss)
        self.step += 1
        return StepResult(position.learning_rate, value, accuracy, None if erased is None else share)

    def _enter(self, position: Position) -> State:
        """Set network and optimizer up for a step; return the state in front of it."""
        if position.is_first and position.phase.fresh_optimizer:
            self.optimizer.state.clear()
        for group in self.optimizer.param_groups:
            group["weight_decay"] = position.phase.weight_decay
        self.set_rate(position.learning_rate)
        binarize_weights(self.network, position.phase.weights == "binary")
        return self._state()

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # where a recorded step reads it
            else:
                group["lr"] = rate

    def _fresh_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer without a past; that of recorded steps is fused, and reads its rate on the device."""
        settings, parameters = self.job.recipe.optimizer, self.network.parameters()
        rate: float | Tensor = self.job.recipe.phases[0].lr_start
        fused = self.recorded or None  # otherwise torch's own choice
        if self.recorded:
            rate = torch.tensor(rate, device=self.world.device)
        if isinstance(settings, Adam):
            return torch.optim.Adam(parameters, lr=rate, fused=fused, capturable=self.recorded)
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, fused=fused)

    def _threshold(self, phase: Phase) -> float | None:
        """Return the restriction's lambda, or None for a step without it."""
        interval = phase.restriction_interval
        return phase.restriction_threshold if interval and self.step % interval == 0 else None

    def _check(self, loss: float, position: Position) -> None:
        """Raise TrainingError for a loss that is not a number."""
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {self.step} (learning rate {position.learning_rate:.2e}); "
                "lower the recipe's learning rates"
            )

    def _learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        constrain(self.network)

    def save(self, path: Path) -> None:
        """Write, in the first process, the newest state that is known to be good, at once or not at all."""
        if self.world.is_first:
            self.good.write(path)

    def restore(self, path: Path) -> None:
        """Go on from a saved state; raises CheckpointError if it is damaged or belongs to another run."""
        state = read_state(path)
        if state.run != self._identity:
            raise CheckpointError(
                f"{path} belongs to a run with other settings (recipe, seed, data set or --init); "
                "repeat them or use --restart"
            )
        load_weights(self.network, state.weights(), path, self.network.spec.name)
        names = [name for name, _ in self.network.named_parameters()]
        groups: dict[str, Any] = self.optimizer.state_dict()
        groups["state"] = state.moments(self.job.recipe.optimizer.name, names)
        self.optimizer.load_state_dict(groups)
        self.step = state.step
        self.good = self._state()

    def _state(self) -> State:
        tensors = copied_tensors(self.network, self.optimizer, self.job.recipe.optimizer.name)
        return State(self._identity, self.step, tensors)


def figures(loss: Tensor, logits: Tensor, erased: Tensor | None, labels: Tensor) -> Tensor:
    """Return loss, accuracy and share erased of a batch, (3,), without waiting for them."""
    with torch.no_grad():
        correct = (logits.argmax(1) == labels).float().mean()
        share = torch.zeros_like(correct) if erased is None else erased
        return torch.stack([loss.detach(), correct, share])
