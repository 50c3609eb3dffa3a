# SPDX-License-Identifier: Apache-2.0
"""One training run, step by step. Everything random follows from the seed and the step's number."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from model.batches import make_batches
from model.checkpoint import Card, load_weights
from model.data import Images
from model.distributed import World, share_statistics
from model.errors import CheckpointError, TrainingError
from model.imagenet import Pictures
from model.kit import Precision
from model.networks import Network, Recovery, binarize_weights, constrain, leak_gradients
from model.recipe import Adam, Phase, Recipe, Schedule
from model.restriction import restricted_loss
from model.state import State, copied_tensors, read_state
from model.teacher import Teacher, unseen_answers


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

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Tensor, threshold: float | None) -> tuple[Tensor, Tensor, float | None]:
        """Return loss, logits and the share erased; `targets` are labels (n,) or probabilities (n, classes).

        Without a `threshold` there is no information restriction.
        """
        if threshold is not None:
            return restricted_loss(self.network, images, targets, threshold)
        logits: Tensor = self.network(images)
        values = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return functional.cross_entropy(values, targets), logits, None


@dataclass(frozen=True)
class Job:
    """What a run is made of, besides the network: equal jobs have equal results.

    `recovery` is there if it is not the network's own. `start` is the card of the checkpoint that the weights came
    from, None for fresh weights. `teacher` is there if the recipe asks for one. A release of another run has that
    one's identity as `parent`, and begins at the step `begin`. `outsiders` are teachers that have not seen a part.
    """

    recipe: Recipe
    data: Images | Pictures
    seed: int
    precision: Precision = "hardware"
    recovery: Recovery | None = None
    start: Card | None = None
    teacher: Teacher | None = None
    outsiders: tuple[Teacher, ...] = ()
    parent: str = ""
    begin: int = 0

    def __post_init__(self) -> None:
        if self.recipe.teacher is not None and self.teacher is None:
            raise TrainingError(
                f"the recipe takes its answers from a teacher ({self.recipe.teacher}): give its weights (--teacher)"
            )
        if self.recipe.teacher is None and self.teacher is not None:
            raise TrainingError("the recipe has no teacher: leave --teacher out")
        if self.recipe.teacher_sees == "images" and (self.teacher is None or not isinstance(self.data, Images)):
            raise TrainingError("the recipe has teacher_sees: images, which takes a teacher and a data set in memory")
        if bool(self.recipe.outsiders) != bool(self.outsiders):
            raise TrainingError(
                "teachers that were trained without a part of the images (--leave-out) go with the recipe's outsiders: "
                "one is given without the other"
            )
        if self.outsiders and isinstance(self.data, Images) and self.data.left_out is not None:
            raise TrainingError("teachers' parts are those of the whole data set: leave --leave-out out")

    def identity(self) -> str:
        """Return what tells this run from others: a run is resumed only by the same one."""
        start = "" if self.start is None else self.start.sha256
        parts = [f"{self.recipe.digest()} {self.seed} {self.data.dataset} {len(self.data)} {start}"]
        if self.precision != "hardware":
            parts.append(self.precision)
        if self.recovery is not None:
            parts.append(f"recovery {self.recovery}")
        if self.teacher is not None:
            parts.append(f"teacher {self.teacher.sha256}")
        parts += [f"outsider {teacher.sha256}" for teacher in self.outsiders]
        if self.parent:
            parts.append(f"release at {self.begin} of {self.parent}")
        return ", ".join(parts)

    def released(self, epochs: float, begin: int) -> "Job":
        """Return the release of that many epochs that branches off at a step."""
        return replace(self, recipe=self.recipe.released(epochs), parent=self.identity(), begin=begin)


class Trainer:
    """A run: network, optimizer, schedule and the number of steps done.

    `good` is the newest state whose loss is known to be a number. `compiled` is for long runs: after a
    minute or two at the start, steps are shorter, and equal but for roundings.
    """

    def __init__(self, network: Network, job: Job, world: World | None = None, *, compiled: bool = False) -> None:
        self.network = network
        self.job = job
        self.world = World() if world is None else world
        self.schedule = Schedule(job.recipe, len(job.data), job.begin)
        self.step = job.begin
        self._identity = job.identity()
        self._batches = make_batches(job.data, self.schedule, job.seed, self.world)
        if self.world.size > 1:
            share_statistics(network)
        network.to(self.world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.train()
        leak_gradients(network, job.recipe.leak)
        for teacher in (*job.outsiders, *filter(None, [job.teacher])):
            teacher.network.to(self.world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = _fresh_optimizer(job.recipe, network)
        self._objective: nn.Module = Objective(network)
        if compiled:
            # The loss, not the network: what is measured and exported stays as it is, to the last bit.
            self._objective.compile(dynamic=False)
            if job.teacher is not None:
                job.teacher.network.compile(dynamic=False)
        if self.world.size > 1:
            self._objective = DistributedDataParallel(self._objective, broadcast_buffers=False)
        self._answers = self._all_answers()
        self.good = self._state()

    @property
    def finished(self) -> bool:
        """True when every step of the schedule is done."""
        return self.schedule.steps is not None and self.step >= self.schedule.steps

    @property
    def epoch(self) -> float:
        """Passes over the training images so far."""
        return self.step / self.schedule.steps_per_epoch

    def advance(self) -> StepResult:
        """Do one step; raises TrainingError, and leaves `good` alone, if the loss is not a number."""
        position = self.schedule.at(self.step)
        if position.is_first and position.phase.fresh_optimizer:
            self.optimizer.state.clear()
        before = self._state()
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = position.learning_rate, position.phase.weight_decay
        images, labels = self._batches.at(self.step)
        loss, logits, erased = self._loss(images, labels, position.phase)
        correct = float((logits.argmax(1) == labels).float().mean())
        value, accuracy, share = self.world.means((loss.item(), correct, erased or 0.0))
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {self.step} (learning rate {position.learning_rate:.2e}); "
                "lower the recipe's learning rates"
            )
        self.good = before
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        constrain(self.network)
        self.step += 1
        return StepResult(position.learning_rate, value, accuracy, None if erased is None else share)

    def _loss(self, images: Tensor, labels: Tensor, phase: Phase) -> tuple[Tensor, Tensor, float | None]:
        interval = phase.restriction_interval
        threshold = phase.restriction_threshold if interval and self.step % interval == 0 else None
        binarize_weights(self.network, phase.weights == "binary")
        with self._arithmetic(phase):
            loss, logits, erased = self._objective(images, self._targets(images, labels), threshold)
        return loss, logits, erased

    def _arithmetic(self, phase: Phase) -> torch.autocast:
        # bfloat16 is a quarter faster where the device has it; signs and small integers are exact in it.
        enabled = phase.precision == "bfloat16" and self.world.has_bfloat16
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=enabled)

    def _targets(self, images: Tensor, labels: Tensor) -> Tensor:
        if self.job.teacher is None:
            return labels
        if self._answers is None:
            answers = self.job.teacher.answers(images)
        else:
            answers = self._answers[self._batches.picks(self.step)]
        # Cross-entropy with a distribution is the distribution loss: its gradient is that of KL.
        return answers.lerp(functional.one_hot(labels, answers.shape[1]).float(), self.job.recipe.truth)

    def _all_answers(self) -> Tensor | None:
        recipe = self.job.recipe
        if recipe.teacher_sees != "images":
            return None
        teacher, data = cast(Teacher, self.job.teacher), cast(Images, self.job.data)  # Job refuses others
        images = torch.from_numpy(data.images).to(self.world.device)
        with self._arithmetic(recipe.phases[0]):
            answers = teacher.all_answers(images, recipe.batch_size)
            if not recipe.outsiders:
                return answers
            return answers.lerp(unseen_answers(self.job.outsiders, images, recipe.batch_size), recipe.outsiders)

    def save(self, path: Path) -> None:
        """Write the newest state that is known to be good, at once or not at all."""
        self.good.write(path)

    def restore(self, path: Path) -> None:
        """Go on from a saved state; raises CheckpointError if it is damaged or belongs to another run."""
        state = read_state(path)
        if state.run != self._identity:
            raise CheckpointError(
                f"{path} belongs to a run with other settings (recipe, seed, data set or --init); "
                "repeat them or use --restart"
            )
        self.adopt(state, path)

    def adopt(self, state: State, path: Path) -> None:
        """Take weights, moments and step from a state, which was read from `path`; raises CheckpointError."""
        load_weights(self.network, state.weights(), path)
        names = [name for name, _ in self.network.named_parameters()]
        groups: dict[str, Any] = self.optimizer.state_dict()
        groups["state"] = state.moments(self.job.recipe.optimizer.name, names)
        self.optimizer.load_state_dict(groups)
        self.step = state.step
        self.good = self._state()

    def _state(self) -> State:
        tensors = copied_tensors(self.network, self.optimizer, self.job.recipe.optimizer.name)
        return State(self._identity, self.step, self.job.begin, tensors)


def _fresh_optimizer(recipe: Recipe, network: Network) -> torch.optim.Optimizer:
    settings, rate = recipe.optimizer, recipe.phases[0].lr_start
    if isinstance(settings, Adam):
        return torch.optim.Adam(network.parameters(), lr=rate)
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=settings.momentum)
