# SPDX-License-Identifier: Apache-2.0
"""Rows of parquet files, from a folder or from the Hugging Face hub, with their pictures as they are encoded."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import DataError


def parquet_files(folder: Path, inner: str, name: str) -> list[Path]:
    """Return the files NAME*.parquet directly in a folder, or else in `inner` inside it; raises DataError."""
    if not folder.is_dir():
        raise DataError(f"no such data folder: {folder}")
    return sorted(folder.glob(f"{name}*.parquet")) or sorted((folder / inner).glob(f"{name}*.parquet"))


def file_rows(files: list[Path], picture: str) -> Any:
    """Return the rows of parquet files; raises DataError where they lack the column `picture` or labels."""
    import datasets

    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # one line tells what is wrong, and it is ours
    return _checked(lambda: datasets.Dataset.from_parquet([str(file) for file in files]), f"read {files[0]}", picture)


def hub_rows(name: str, split: str, picture: str) -> Any:
    """Return the rows of a data set on the hub, as file_rows does."""
    import datasets

    return _checked(lambda: datasets.load_dataset(name, split=split), f"download {name}", picture)


def _checked(read: Callable[[], Any], task: str, picture: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = read()
        missing = {picture, "label"} - set(rows.column_names)
        if not missing:
            return rows.cast_column(picture, datasets.Image(decode=False))
    except Exception as error:  # the library passes on whatever its reader, its cache or the network raises
        raise DataError(f"cannot {task}: {_first_line(error.__cause__ or error)}") from error
    raise DataError(f"cannot {task}: it lacks the column {' and '.join(sorted(missing))}")


def labels_of(rows: Any, name: str, classes: int) -> npt.NDArray[np.int64]:
    """Return the labels of the data set `name`; raises DataError unless there are some, integers 0 .. classes - 1."""
    try:
        labels = np.asarray(rows["label"], np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} has labels that are no integers: {_first_line(error)}") from error
    if len(labels) == 0:
        raise DataError(f"{name} has no pictures")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{name} has labels outside 0 .. {classes - 1}")
    return labels


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
