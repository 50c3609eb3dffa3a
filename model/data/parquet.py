# SPDX-License-Identifier: Apache-2.0
"""Rows of parquet files, from a folder or from the Hugging Face hub, with their pictures as they are encoded."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import DataError

PICTURES = ("img", "image")
"""What the column of the pictures may be called."""


def parquet_files(folder: Path, split: str) -> list[Path]:
    """Return the files of a split in a folder: SPLIT.parquet, or its parts SPLIT-00000-of-00002.parquet and so on.

    Raises DataError where parts are missing, or the split is there twice.
    """
    found: dict[str | None, list[Path]] = {}
    for path in sorted(folder.glob(f"{split}*.parquet")):
        if match := re.fullmatch(rf"{split}(?:-\d+-of-(\d+)|(-)\d+)?\.parquet", path.name):
            found.setdefault(match[1] or match[2], []).append(path)
    if len(found) > 1:
        names = " and ".join(files[0].name for files in found.values())
        raise DataError(f"{folder} holds the split {split} more than once: {names}")
    for parts, files in found.items():
        if parts and parts.isdigit() and len(files) != int(parts):
            raise DataError(f"{folder} holds {len(files)} of the {int(parts)} parts of {split}: {files[0].name} ...")
    return [path for files in found.values() for path in files]


def encoded_pictures(files: Sequence[Path]) -> tuple[list[bytes], list[Any]]:
    """Return the pictures of parquet files as they are encoded, and their labels; raises DataError.

    The files are read where they lie; nothing is written.
    """
    from pyarrow.parquet import ParquetFile

    pictures: list[bytes] = []
    labels: list[Any] = []
    for file in files:
        try:
            table = ParquetFile(file).read()
            picture = _column(table.column_names, f"read {file}")
            pictures += [row["bytes"] if isinstance(row, dict) else row for row in table[picture].to_pylist()]
            labels += table["label"].to_pylist()
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"cannot read {file}: {_first_line(error)}") from error
    return pictures, labels


def file_rows(files: list[Path]) -> tuple[Any, str]:
    """Return the rows of parquet files, mapped into memory, and their pictures' column; raises DataError."""
    import datasets

    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # one line tells what is wrong, and it is ours
    return _checked(lambda: datasets.Dataset.from_parquet([str(file) for file in files]), f"read {files[0]}")


def hub_rows(name: str, split: str) -> tuple[Any, str]:
    """Return the rows of a data set on the hub, as file_rows does."""
    import datasets

    return _checked(lambda: datasets.load_dataset(name, split=split), f"download {name}")


def _checked(read: Callable[[], Any], task: str) -> tuple[Any, str]:
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = read()
        picture = _column(rows.column_names, task)
        return rows.cast_column(picture, datasets.Image(decode=False)), picture
    except PermissionError as error:
        message = f"cannot {task}: {error.strerror}: {error.filename}; let HF_HOME name a folder that can be written"
        raise DataError(message) from error
    except DataError:
        raise
    except Exception as error:  # the library passes on whatever its reader, its cache or the network raises
        raise DataError(f"cannot {task}: {_first_line(error.__cause__ or error)}") from error


def _column(names: Sequence[str], task: str) -> str:
    """Return the column of the pictures; raises DataError where it, or that of the labels, is missing."""
    picture = next((name for name in PICTURES if name in names), None)
    missing = [*([] if picture else [" or ".join(PICTURES)]), *([] if "label" in names else ["label"])]
    if picture is None or missing:
        raise DataError(f"cannot {task}: it lacks the column {' and '.join(missing)}")
    return picture


def labels_of(found: Any, name: str, classes: int) -> npt.NDArray[np.int64]:
    """Return the labels of the data set `name`; raises DataError unless there are some, integers 0 .. classes - 1."""
    try:
        labels = np.asarray(found, np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} has labels that are no integers: {_first_line(error)}") from error
    if len(labels) == 0:
        raise DataError(f"{name} has no pictures")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{name} has labels outside 0 .. {classes - 1}")
    return labels


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
