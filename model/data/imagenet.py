# SPDX-License-Identifier: Apache-2.0
"""ImageNet, picture by picture, from one folder per class or from the parquet files of the Hugging Face hub.

Folders: FOLDER/train/CLASS/*.JPEG and FOLDER/val/CLASS/*.JPEG; a class' number is its place in the sorted names.
Parquet: FOLDER/train*.parquet and FOLDER/validation*.parquet, or both in FOLDER/data, columns image and label.
"""

from pathlib import Path

import numpy as np

from model.data.images import Pictures, Split
from model.data.parquet import file_rows, labels_of, parquet_files
from model.errors import DataError

FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("val", "validation")}
ENDINGS = {".jpeg", ".jpg", ".png"}


def load_pictures(folder: Path, split: Split, classes: int) -> Pictures:
    """Return one split of ImageNet; raises DataError where the folder's shape is not one of those above."""
    for name in FOLDERS[split]:
        if files := parquet_files(folder, "data", name):
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
    rows = file_rows(files, "image")
    labels = labels_of(rows, str(files[0]), classes)
    return Pictures(
        "ImageNet",
        labels,
        lambda index: rows[int(index)]["image"]["bytes"],
        lambda index: f"{index} of {files[0].parent}",
    )
