# SPDX-License-Identifier: Apache-2.0
"""What a user sees of a run, and how he stops it."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from model.training.trainer import StepResult, Trainer

SMOOTHING = 0.98
"""Weight of the past, a step later, in the loss and accuracy that the progress line shows."""


@contextmanager
def stop_flag() -> Iterator[threading.Event]:
    """Turn Ctrl-C and termination into a flag, so that no step is cut in two."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, ask) for kind in kinds]
    try:
        yield stop
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


class ProgressLine:
    """The line that shows where a run is; silent in all processes but the first."""

    def __init__(self, trainer: Trainer, console: Console) -> None:
        columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console, disable=not trainer.world.is_first)
        self._task = self.progress.add_task("training", total=trainer.schedule.steps, completed=trainer.step)
        self._watched = "test" if trainer.job.data.left_out is None else "left out"
        self._step = trainer.step
        self._loss = self._correct = float("nan")
        self._erased = ""
        self._text = ""

    def show(self, trainer: Trainer, result: StepResult) -> None:
        """Show what was done since the last time: a step, or an epoch."""
        past, self._step = SMOOTHING ** (trainer.step - self._step), trainer.step
        self._loss = _smooth(self._loss, result.loss, past)
        self._correct = _smooth(self._correct, result.accuracy, past)
        if result.erased is not None:
            self._erased = f"  erased {result.erased:.1%}"
        self._text = f"epoch {trainer.epoch:.1f}  loss {self._loss:.3f}  accuracy {self._correct:.1%}{self._erased}"
        self.progress.update(self._task, completed=trainer.step, description=self._text)

    def keep(self, top1: float) -> None:
        """Leave a line of its own, with the accuracy on the images that are watched."""
        if not self.progress.disable:
            self.progress.console.print(f"{self._text}  {self._watched} {top1:.2%}")


def _smooth(before: float, value: float, past: float) -> float:
    return value if math.isnan(before) else past * before + (1 - past) * value
