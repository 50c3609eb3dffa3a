# SPDX-License-Identifier: Apache-2.0
"""A training run on one GPU: whole epochs at once, each step a CUDA graph.

Small networks leave a GPU idle while Python starts the next of a step's thousand kernels. Here pictures, views,
targets and learning rates lie on the device, the kernels of a step are recorded once and played back, and the
processor waits once an epoch. Steps, draws and results are the Trainer's; without CUDA they are done one by one.
"""

from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from model.data import Images
from model.errors import TrainingError
from model.networks import Network
from model.training.batches import ImageBatches
from model.training.distributed import World
from model.training.job import Job
from model.training.schedule import Position
from model.training.trainer import StepResult, Trainer, figures

FIRST_STEPS = 3
"""Steps of a phase that are done one by one before one is recorded: they compile, and choose algorithms."""


class EpochTrainer(Trainer):
    """A trainer whose `advance` goes to the end of the epoch, or of the phase."""

    def __init__(self, network: Network, job: Job, world: World | None = None, *, compiled: bool = False) -> None:
        if not isinstance(job.data, Images) or (world is not None and world.size > 1):
            raise TrainingError("whole epochs at once are for one process and a data set in memory")
        if any(phase.restriction_interval > 1 for phase in job.recipe.phases):
            raise TrainingError("whole epochs at once have the same step throughout a phase")
        self.recorded = world is not None and world.device.type == "cuda"
        if self.recorded:
            # Shapes never change within a phase: the algorithms that cuDNN measures to be the fastest, in the steps in
            # front of the recorded one, stay so. By default it guesses.
            torch.backends.cudnn.benchmark = True
        super().__init__(network, job, world, compiled=compiled)
        self._step: _Step | None = None

    @override
    def advance(self) -> StepResult:
        position = self.schedule.at(self.step)
        before = self._enter(position)
        stop = self.schedule.same_until(self.step)
        batch = cast(ImageBatches, self._batches).between(self.step, stop)
        with self.world.arithmetic(position.phase.precision):
            targets = self._targets(batch)
        if self._step is None or self._step.position.phase is not position.phase:
            self._step = _Step(self, position)
        count = stop - self.step
        self._step.totals.zero_()
        parts = (part.split(self.job.recipe.batch_size) for part in (batch.images, targets, batch.labels))
        for index, given in enumerate(zip(*parts, strict=True)):
            self._step.run(given, self.schedule.at(self.step + index).learning_rate)
        loss, accuracy, erased = (self._step.totals / count).tolist()
        self._check(loss, position)
        self.good = before
        self.step = stop
        return StepResult(
            position.learning_rate, loss, accuracy, erased if position.phase.restriction_interval else None
        )

    def do(self, images: Tensor, targets: Tensor, labels: Tensor, position: Position) -> Tensor:
        """Do one step; return loss, accuracy and share erased, (3,), without waiting for them."""
        with self.world.arithmetic(position.phase.precision):
            loss, logits, erased = self._objective(images, targets, self._threshold(position.phase))
        self._learn(loss)
        return figures(loss, logits, erased, labels)


class _Step:
    """The step of a phase: done, or recorded and played back on the tensors that it was recorded with."""

    def __init__(self, trainer: EpochTrainer, position: Position) -> None:
        self.trainer, self.position = trainer, position
        self.totals = torch.zeros(3, device=trainer.world.device)
        self.done = 0
        self.held: tuple[Tensor, ...] = ()
        self.graph: torch.cuda.CUDAGraph | None = None

    def run(self, given: tuple[Tensor, ...], rate: float) -> None:
        """Do the step on images, targets and labels."""
        self.trainer.set_rate(rate)
        if not self.trainer.recorded:
            self._do(given)
            return
        if not self.held:
            self.held = tuple(torch.empty_like(part) for part in given)
        for held, part in zip(self.held, given, strict=True):
            held.copy_(part)
        if self.done < FIRST_STEPS:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._do(self.held)
            torch.cuda.current_stream().wait_stream(side)
        else:
            if self.graph is None:
                self.graph = torch.cuda.CUDAGraph()
                self.trainer.optimizer.zero_grad(set_to_none=True)
                with torch.cuda.graph(self.graph):
                    self._do(self.held)
            self.graph.replay()
        self.done += 1

    def _do(self, given: tuple[Tensor, ...]) -> None:
        images, targets, labels = given
        self.totals += self.trainer.do(images, targets, labels, self.position)
