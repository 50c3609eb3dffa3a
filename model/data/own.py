# SPDX-License-Identifier: Apache-2.0
"""A data set of one's own: a folder of pictures for each class, or an .npz file of arrays.

Folders: FOLDER/train/CLASS/* and FOLDER/test/CLASS/* (or val, validation). Arrays: train_images and train_labels,
test_images and test_labels, or x_train, y_train, x_test and y_test; pixels uint8, (n, size, size) or with channels
first or last, labels integers from 0. Where there is one set only, FOLDER/CLASS/* or images and labels, a fifth of the
pictures is for testing, chosen by chance, always the same ones.
"""

from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.data.folders import class_folders, folder_pictures, picture_files
from model.data.images import Images, Part, Split
from model.data.parquet import labels_of
from model.data.views import resized
from model.errors import DataError
from model.networks import NetworkSpec

FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val", "validation")}
ARRAYS: dict[Split, tuple[tuple[str, str], ...]] = {
    split: ((f"{split}_images", f"{split}_labels"), (f"x_{split}", f"y_{split}")) for split in FOLDERS
}
TEST = Part(1, 5)
"""What is for testing where a data set does not say."""
NPZ = ".npz"


def own_files(source: Path, split: Split) -> list[Path]:
    """Return the files that a split is read from; none where this is no data set of one's own."""
    if source.is_file():
        return [source] if source.suffix == NPZ else []
    if not source.is_dir():
        raise DataError(f"no such data folder: {source}")
    return [file for place in class_folders(_place(source, split)[0]) for file in picture_files(place)]


def load_own(source: Path, split: Split, spec: NetworkSpec, *, skip_damaged: bool = False) -> Images:
    """Return one split, with its classes' names where it has some; raises DataError.

    Pictures in files get the network's size, arrays keep theirs.
    """
    if source.is_file():
        return _from_arrays(source, split, spec)
    place, whole = _place(source, split)
    pictures, classes = folder_pictures(place, source.resolve().name)
    if skip_damaged:
        pictures = pictures.without_damaged()
    if not classes:
        raise DataError(f"{place} holds no folders of pictures, one for each class")
    views = pictures.pool.map(lambda at: _squared(pictures.read(at, spec.channels), spec.size), range(len(pictures)))
    found = Images(pictures.dataset, torch.stack(list(views)).numpy(), pictures.labels, classes=classes)
    return _share(found, split) if whole else found


def fitted(spec: NetworkSpec, source: Path) -> NetworkSpec:
    """Return a network for a data set of one's own: with its classes and, of arrays, its size; raises DataError."""
    if source.is_dir():
        names = tuple(place.name for place in class_folders(_place(source, "train")[0]))
        return replace(spec, classes=len(names), names=names, dataset="own")
    found = _from_arrays(source, "train", spec)
    classes = 0 if found.labels is None else int(found.labels.max()) + 1
    return replace(spec, classes=classes, size=found.images.shape[-1], dataset="own")


def _place(folder: Path, split: Split) -> tuple[Path, bool]:
    """Return where the classes of a split are, and whether those of the other one are there too."""
    places = {other: [folder / name for name in names if (folder / name).is_dir()] for other, names in FOLDERS.items()}
    if not any(places.values()):
        return folder, True
    if not places[split]:
        raise DataError(f"{folder} has no folder {' or '.join(FOLDERS[split])}")
    return places[split][0], False


def _share(whole: Images, split: Split) -> Images:
    chosen = TEST.of(len(whole))
    return whole.chosen(chosen if split == "test" else ~chosen, whole.dataset)


def _squared(picture: Tensor, size: int) -> Tensor:
    """Return a picture's middle in another size, the picture itself where it has that size."""
    height, width = picture.shape[1:]
    if (height, width) == (size, size):
        return picture
    factor = size / min(height, width)
    picture = resized(picture, max(size, round(height * factor)), max(size, round(width * factor)))
    top, left = (picture.shape[1] - size) // 2, (picture.shape[2] - size) // 2
    return picture[:, top : top + size, left : left + size]


def _from_arrays(file: Path, split: Split, spec: NetworkSpec) -> Images:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names = next((pair for pair in ARRAYS[split] if pair[0] in arrays), None)
            whole = names is None and "images" in arrays
            pixels, labels = (arrays[name] for name in names or ("images", "labels"))
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    except KeyError as error:
        pairs = ", ".join(" and ".join(pair) for pair in ARRAYS[split])
        raise DataError(f"{file} lacks the arrays of the split {split}: {pairs}, or images and labels") from error
    if pixels.dtype != np.uint8:
        raise DataError(f"{file} has pixels of type {pixels.dtype}, not uint8, 0 .. 255")
    if labels.dtype.kind not in "iu" or labels.size != len(pixels):
        raise DataError(
            f"{file} has {len(pixels)} images and labels of {labels.dtype}, {labels.shape}: one integer each"
        )
    numbers = labels_of(labels.ravel(), str(file), np.iinfo(np.int64).max)
    found = Images(file.stem, _channels_first(pixels, file, spec.channels), numbers)
    return _share(found, split) if whole else found


def _channels_first(pixels: npt.NDArray[np.uint8], file: Path, channels: int) -> npt.NDArray[np.uint8]:
    shape = pixels.shape
    if pixels.ndim == 3 and channels == 1:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and shape[3] == channels and shape[1] == shape[2]:
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    if pixels.ndim != 4 or pixels.shape[1] != channels or pixels.shape[2] != pixels.shape[3]:
        raise DataError(f"{file} has images {shape[1:]}; they must be square, with {channels} channels first or last")
    return pixels
