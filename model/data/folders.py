# SPDX-License-Identifier: Apache-2.0
"""Image folders: a folder of pictures for each class, as file systems and their programs leave them."""

from pathlib import Path

import numpy as np

from model.data.images import Pictures
from model.errors import DataError

ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".webp"}
NOT_OURS = (".", "@", "#", "$", "__MACOSX", "lost+found", "System Volume Information")
"""How names begin that systems put beside a user's: .ipynb_checkpoints, ._cat.png, @eaDir, #recycle, $RECYCLE.BIN."""


def class_folders(folder: Path) -> list[Path]:
    """Return the folders of classes; a class' number is its place in the sorted names."""
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith(NOT_OURS))


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures in the folder of a class, sorted."""
    found = (file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())
    return sorted(file for file in found if not file.name.startswith(NOT_OURS))


def folder_pictures(folder: Path, dataset: str) -> tuple[Pictures, tuple[str, ...]]:
    """Return the pictures of a folder of classes, and what these are called; raises DataError for an empty class."""
    classes = class_folders(folder)
    found = [picture_files(place) for place in classes]
    for place, files in zip(classes, found, strict=True):
        if not files:
            raise DataError(f"{place} has no pictures ({', '.join(sorted(ENDINGS))})")
    paths = [file for files in found for file in files]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in found])
    pictures = Pictures(dataset, labels, lambda index: paths[index].read_bytes(), lambda index: str(paths[index]))
    return pictures, tuple(place.name for place in classes)
