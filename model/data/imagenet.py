# SPDX-License-Identifier: Apache-2.0
"""ImageNet, picture by picture, from one folder per class or from the parquet files of the Hugging Face hub.

Folders: FOLDER/train/CLASS/*.JPEG and FOLDER/val/CLASS/*.JPEG; a class' number is its place in the sorted names.
Parquet: FOLDER/train*.parquet and FOLDER/validation*.parquet, or both in FOLDER/data, columns image and label.
"""

from pathlib import Path

from model.data.folders import class_folders, folder_pictures
from model.data.images import Pictures, Split
from model.data.parquet import file_rows, labels_of, parquet_files
from model.errors import DataError

FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("val", "validation")}


def load_pictures(folder: Path, split: Split, classes: int) -> Pictures:
    """Return one split of ImageNet; raises DataError where the folder's shape is not one of those above."""
    if not folder.is_dir():
        raise DataError(f"no such data folder: {folder}")
    for name in FOLDERS[split]:
        if files := parquet_files(folder, name) or parquet_files(folder / "data", name):
            return _from_parquet(files, classes)
        if (folder / name).is_dir():
            found = len(class_folders(folder / name))
            if found != classes:
                raise DataError(f"{folder / name} has {found} folders of classes, the network has {classes} classes")
            return folder_pictures(folder / name, "ImageNet")[0]
    names = " or ".join(FOLDERS[split])
    raise DataError(f"{folder} holds neither a folder {names} nor parquet files of that name")


def _from_parquet(files: list[Path], classes: int) -> Pictures:
    rows, picture = file_rows(files)
    labels = labels_of(rows["label"], str(files[0]), classes)
    return Pictures(
        "ImageNet",
        labels,
        lambda index: rows[int(index)][picture]["bytes"],
        lambda index: f"{index} of {files[0].parent}",
    )
