# SPDX-License-Identifier: Apache-2.0
"""The course of a run, step by step: a CSV file and, where wished, TensorBoard's event files."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any

from model.checkpoint import replace_file
from model.errors import TrainingError


@dataclass(frozen=True)
class Row:
    """A step that was done; `erased` where information restriction worked.

    `top1` stands at the end of an epoch: of the test images, or of the part that is left out of the training.
    """

    step: int
    epoch: float
    learning_rate: float
    loss: float
    accuracy: float
    erased: float | None = None
    top1: float | None = None


COLUMNS = [column.name for column in fields(Row)]


class Metrics:
    """Writes rows as they come; a process that has nothing to write has neither file nor board."""

    def __init__(self, file: IO[str] | None = None, board: Any = None) -> None:
        self._file = file
        self._board = board

    def add(self, row: Row) -> None:
        """Write a row, so that it is there even if the process ends at once."""
        if self._file is not None:
            csv.writer(self._file).writerow(["" if value is None else value for value in astuple(row)])
            self._file.flush()
        if self._board is not None:
            for name in COLUMNS[2:]:
                value = getattr(row, name)
                if value is not None:
                    self._board.add_scalar(name, value, row.step)


@contextmanager
def open_metrics(path: Path, after: int | None = None, board: Path | None = None) -> Iterator[Metrics]:
    """Open the metrics of a new run, or of one that goes on: rows after step `after` come again and are dropped.

    Raises TrainingError without the package that a `board` needs, CheckpointError if the file cannot be written.
    """
    purge = 0 if after is None else after + 1
    writer = None if board is None else require_tensorboard()(str(board), purge_step=purge)
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *_rows_until(path, after)])
    replace_file(path, text.getvalue().encode())
    try:
        with path.open("a", newline="") as file:
            yield Metrics(file, writer)
    finally:
        if writer is not None:
            writer.close()


def _rows_until(path: Path, after: int | None) -> list[list[str]]:
    if after is None or not path.is_file():
        return []
    with path.open(newline="") as file:
        # A last line that was cut off is a step that comes again.
        whole = (row for row in csv.reader(file) if len(row) == len(COLUMNS) and row[0].isdecimal())
        return [row for row in whole if int(row[0]) <= after]


def require_tensorboard() -> Any:
    """Return the class that writes event files; raises TrainingError where its package is missing."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise TrainingError("--tensorboard needs the package tensorboardX: pip install tensorboardX") from error
    return SummaryWriter
