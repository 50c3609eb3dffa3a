# SPDX-License-Identifier: Apache-2.0
"""ImageNet, picture by picture, from a folder a class or from the parquet files of the Hugging Face hub.

Folders: FOLDER/train/CLASS/*.JPEG and FOLDER/val/CLASS/*.JPEG; a class' number is its place in the sorted names.
Parquet: FOLDER/train*.parquet and FOLDER/validation*.parquet, or both in FOLDER/data, columns image and label.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from model.augment import centre_crop
from model.data import Split, label_column, parquet_rows
from model.errors import DataError

FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("val", "validation")}
ENDINGS = {".jpeg", ".jpg", ".png"}


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=os.cpu_count())


@dataclass(frozen=True)
class Pictures:
    """Pictures of any size that are decoded when they are asked for, in threads.

    `encoded` returns the bytes of a picture, and `name` what a message calls it.
    """

    dataset: str
    labels: npt.NDArray[np.int64]
    encoded: Callable[[int], bytes]
    name: Callable[[int], str]
    pool: ThreadPoolExecutor = field(default_factory=_pool)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def read(self, index: int) -> Tensor:
        """Return a picture, (3, height, width) uint8; raises DataError."""
        try:
            picture = Image.open(io.BytesIO(self.encoded(index))).convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, TypeError) as error:
            raise DataError(f"cannot read the picture {self.name(index)}: {error}") from error
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)

    def views(self, picks: Sequence[int], size: int) -> Tensor:
        """Return the middles of the pictures of these numbers, (n, 3, size, size) uint8; raises DataError."""
        return torch.stack(list(self.pool.map(lambda index: centre_crop(self.read(index), size), picks)))


def load_pictures(folder: Path, split: Split, classes: int) -> Pictures:
    """Return one split of ImageNet; raises DataError where the folder's shape is not one of those above."""
    if not folder.is_dir():
        raise DataError(f"no such data folder: {folder}")
    for name in FOLDERS[split]:
        for place in (folder, folder / "data"):
            files = sorted(place.glob(f"{name}*.parquet"))
            if files:
                return _from_parquet(files, classes)
        if (folder / name).is_dir():
            return _from_folder(folder / name, classes)
    names = " or ".join(FOLDERS[split])
    raise DataError(f"{folder} holds neither a folder {names} nor parquet files of that name")


def _from_folder(folder: Path, classes: int) -> Pictures:
    names = sorted(place.name for place in folder.iterdir() if place.is_dir())
    if len(names) != classes:
        raise DataError(f"{folder} has {len(names)} folders of classes, the network has {classes} classes")
    found = [sorted(f for f in (folder / name).iterdir() if f.suffix.lower() in ENDINGS) for name in names]
    for name, files in zip(names, found, strict=True):
        if not files:
            raise DataError(f"{folder / name} has no pictures ({', '.join(sorted(ENDINGS))})")
    paths = [file for files in found for file in files]
    labels = np.repeat(np.arange(classes), [len(files) for files in found])
    return Pictures("ImageNet", labels, lambda index: paths[index].read_bytes(), lambda index: str(paths[index]))


def _from_parquet(files: list[Path], classes: int) -> Pictures:
    rows: Any = parquet_rows(files)
    missing = {"image", "label"} - set(rows.column_names)
    if missing:
        raise DataError(f"{files[0]} lacks the column {' and '.join(sorted(missing))}")
    labels = label_column(rows, str(files[0]))
    if len(labels) == 0:
        raise DataError(f"{files[0]} has no pictures")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{files[0]} has labels outside 0 .. {classes - 1}")
    return Pictures(
        "ImageNet",
        labels,
        lambda index: rows[int(index)]["image"]["bytes"],
        lambda index: f"{index} of {files[0].parent}",
    )
