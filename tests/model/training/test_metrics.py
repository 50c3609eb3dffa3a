# SPDX-License-Identifier: Apache-2.0
"""The course of a run as CSV and for TensorBoard."""

import csv
import sys
from pathlib import Path

import pytest

from model.errors import TrainingError
from model.training.metrics import COLUMNS, Row, open_metrics


def write(path: Path, steps: range, after: int | None = None, board: Path | None = None) -> None:
    with open_metrics(path, after, board) as metrics:
        for step in steps:
            metrics.add(
                Row(step, step / 4, 1e-3, 1 / step, 0.5, None if step % 2 else 0.25, 0.9 if step == 4 else None)
            )


def test_rows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.csv"
    write(path, range(1, 6))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [float(row["loss"]) for row in rows] == [1 / step for step in range(1, 6)]  # no digit is lost
    assert [row["erased"] for row in rows] == ["", "0.25", "", "0.25", ""]
    assert [row["top1"] for row in rows] == ["", "", "", "0.9", ""]


def test_resumed_file_is_that_of_an_uninterrupted_run(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "a.csv", tmp_path / "b.csv"
    write(straight, range(1, 9))
    write(stopped, range(1, 6))
    with stopped.open("a") as file:
        file.write("6,1.5,0.0")  # cut off in the middle of a row
    write(stopped, range(4, 9), after=3)
    assert stopped.read_bytes() == straight.read_bytes()
    write(stopped, range(1, 9))  # a new run starts a new file
    assert stopped.read_bytes() == straight.read_bytes()


def test_tensorboard_gets_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter  # noqa: F401  (the format below is what it writes)

    board = tmp_path / "board"
    write(tmp_path / "run.csv", range(1, 6), board=board)
    (file,) = board.iterdir()
    data, found = file.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        data = data[16 + length :]
    assert ("loss", 2, 0.5) in found
    assert [step for tag, step, _ in found if tag == "loss"] == [1, 2, 3, 4, 5]
    assert [step for tag, step, _ in found if tag == "erased"] == [2, 4]
    assert [tag for tag, step, _ in found if step == 4] == COLUMNS[2:]


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainingError, match="pip install tensorboardX"):
        write(tmp_path / "run.csv", range(1, 2), board=tmp_path / "board")
    assert not list(tmp_path.iterdir())
