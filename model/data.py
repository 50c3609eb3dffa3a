# SPDX-License-Identifier: Apache-2.0
"""Data sets: CIFAR-10 from parquet files, digits and photographs from scikit-learn as uint8 arrays; ImageNet.

ImageNet does not fit into memory; imagenet.py reads it picture by picture.
"""

import io
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from model.errors import DataError
from model.networks import NetworkSpec, network_spec

if TYPE_CHECKING:
    from model.imagenet import Pictures

Split = Literal["train", "test"]

DATA_VARIABLE = "IR2NET_DATA"
CIFAR10_HUB = "uoft-cs/cifar10"
DIGITS_TEST_IMAGES = 360
PHOTO_WINDOW = 4
"""Photographs are averaged over windows of this size, so that a patch shows more than texture."""

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

PARTS_SEED = 5
"""Of the order in which chance cuts a data set: cards name parts by their numbers, so it stays."""


class TestSet(Protocol):
    """What an accuracy is measured on: Images, or Pictures of imagenet.py."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """Labels (n,) where known."""

    def __len__(self) -> int:
        """Return the number of images."""

    def views(self, picks: Sequence[int], size: int) -> Tensor:
        """Return the images of these numbers as a network sees them in a test, (n, channels, size, size) uint8."""


@dataclass(frozen=True)
class Part:
    """Part `index`, 1 .. `count`, of a data set that chance cuts in parts, always in the same way."""

    index: int
    count: int

    @classmethod
    def read(cls, text: str) -> "Part":
        """Return the part that is written "1/3"; raises DataError."""
        match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
            raise DataError(f"no part of a data set: {text}; the first of three is written 1/3")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        """Write it as `read` reads it."""
        return f"{self.index}/{self.count}"

    def of(self, length: int) -> npt.NDArray[np.bool_]:
        """Return which of that many images are in it, (length,)."""
        numbers: npt.NDArray[np.int64] = np.random.default_rng(PARTS_SEED).permutation(length)
        chosen: npt.NDArray[np.bool_] = numbers % self.count == self.index - 1
        return chosen


@dataclass(frozen=True)
class Images:
    """Images (n, channels, height, width) uint8, labels (n,) int64 where known, and the data set's name.

    `left_out` is the part of the data set that is not among them.
    """

    dataset: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None = None
    left_out: Part | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def views(self, picks: Sequence[int], size: int) -> Tensor:
        """Return the images of these numbers, (n, channels, size, size) uint8; they have that size."""
        return torch.from_numpy(self.images[list(picks)])

    def without(self, part: Part) -> "Images":
        """Return the images of a whole data set but those of a part."""
        kept = ~part.of(len(self))
        labels = None if self.labels is None else self.labels[kept]
        return Images(f"{self.dataset} without part {part}", self.images[kept], labels, part)


def load_data(
    network: str, split: Split, data_dir: Path | None = None, *, download: bool = False
) -> "Images | Pictures":
    """Return one split of a network's data set, for training or testing; raises DataError.

    As load_images, and ImageNet as well: from a folder of pictures or of the hub's parquet files.
    """
    spec = network_spec(network)
    if spec.dataset != "imagenet":
        return load_images(network, split, data_dir, download=download)
    from model.imagenet import load_pictures

    folder = data_dir_or_default(data_dir)
    if folder is None:
        raise DataError(f"no ImageNet: give its folder with --data-dir or {DATA_VARIABLE}")
    return load_pictures(folder, split, spec.classes)


def load_images(network: str, split: Split, data_dir: Path | None = None, *, download: bool = False) -> Images:
    """Return one split of the data set that a network is made for; raises DataError.

    CIFAR-10 is read from parquet files in `data_dir` (or the folder that IR2NET_DATA names), directly or in a
    folder cifar10 inside it, and from the Hugging Face hub only with `download`. Digits come with
    scikit-learn.
    """
    spec = network_spec(network)
    if spec.dataset == "imagenet":
        raise DataError("ImageNet does not fit into memory: its pictures are read one by one (load_data)")
    found = _digits(split) if spec.dataset == "digits" else _cifar10(split, data_dir, download)
    _check_shape(found, spec)
    return found


def sample_images(network: str, count: int) -> Images:
    """Return `count` images that need no download, for verification: always the same ones.

    Digits of the test split with labels for networks of digits; else patches of scikit-learn's sample
    photographs, without labels.
    """
    spec = network_spec(network)
    if spec.dataset == "digits":
        test = _digits("test")
        picks = np.arange(count) % len(test)
        return Images(test.dataset, test.images[picks], None if test.labels is None else test.labels[picks])
    return Images("scikit-learn's sample photographs", _photo_patches(spec, count))


def class_names(network: str) -> tuple[str, ...]:
    """What the classes of a network's data set are called; empty where they are numbers, or very many."""
    return CIFAR10_CLASSES if network_spec(network).dataset == "cifar10" else ()


def check_folder(network: str, folder: Path) -> None:
    """Raise DataError where a folder holds no test images for a network; none of them is read."""
    spec = network_spec(network)
    if spec.dataset == "imagenet":
        load_data(network, "test", folder)
    elif spec.dataset != "digits":
        _parquet_files(folder, "test")
    elif not any(folder.glob("*")):
        raise DataError(f"nothing is in {folder}; {network} takes scikit-learn's digits, which need no folder")


def data_dir_or_default(data_dir: Path | None) -> Path | None:
    """Return the given folder, or the one that IR2NET_DATA names, or None."""
    if data_dir is not None:
        return data_dir
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else None


def _check_shape(found: Images, spec: NetworkSpec) -> None:
    if len(found) == 0:
        raise DataError(f"{found.dataset} has no images")
    if found.images.shape[1:] != spec.input_shape:
        raise DataError(f"{found.dataset} has images {found.images.shape[1:]}, {spec.name} takes {spec.input_shape}")
    labels = found.labels
    if labels is not None and (labels.min() < 0 or labels.max() >= spec.classes):
        raise DataError(f"{found.dataset} has labels outside 0 .. {spec.classes - 1}")


def _digits(split: Split) -> Images:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels, labels, test_size=DIGITS_TEST_IMAGES, random_state=0, stratify=labels)
    pixels, labels = (parts[0], parts[2]) if split == "train" else (parts[1], parts[3])
    # 8x8 pixels of 0 .. 16 become 16x16 pixels of 0 .. 240.
    small = (pixels.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
    images = small.repeat(2, axis=2).repeat(2, axis=3)
    return Images("scikit-learn digits", images, labels.astype(np.int64))


def _photo_patches(spec: NetworkSpec, count: int) -> npt.NDArray[np.uint8]:
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    rng = np.random.default_rng(0)
    side = spec.size * PHOTO_WINDOW
    patches = np.empty((count, *spec.input_shape), np.uint8)
    for index in range(count):
        photo = photos[index % len(photos)]
        top, left = (int(rng.integers(0, extent - side + 1)) for extent in photo.shape[:2])
        window = photo[top : top + side, left : left + side]
        blocks = window.reshape(spec.size, PHOTO_WINDOW, spec.size, PHOTO_WINDOW, -1).mean((1, 3))
        patches[index] = blocks.astype(np.uint8).transpose(2, 0, 1)[: spec.channels]
    return patches


def _cifar10(split: Split, data_dir: Path | None, download: bool) -> Images:
    folder = data_dir_or_default(data_dir)
    if folder is not None:
        rows = parquet_rows(_parquet_files(folder, split))
    elif download:
        rows = _hub_rows(split)
    else:
        raise DataError(
            f"no CIFAR-10: give a folder of parquet files with --data-dir or {DATA_VARIABLE}, "
            "or ask for a download with --download"
        )
    missing = {"img", "label"} - set(rows.column_names)
    if missing:
        raise DataError(f"CIFAR-10 rows lack the column {' and '.join(sorted(missing))}")
    try:
        encoded = [row["bytes"] for row in rows["img"]]
        pictures = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in encoded]
    except (UnidentifiedImageError, OSError, ValueError, TypeError) as error:
        raise DataError(f"CIFAR-10 holds a picture that cannot be read: {error}") from error
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"CIFAR-10 has pictures of different sizes: {' and '.join(map(str, sorted(sizes)[:2]))}")
    lossy = encoded[0].startswith(b"\xff\xd8")
    name = "CIFAR-10 (JPEG copy)" if lossy else "CIFAR-10"
    labels = label_column(rows, "CIFAR-10")
    images = np.stack(pictures).transpose(0, 3, 1, 2)
    return Images(name, np.ascontiguousarray(images), labels)


def _parquet_files(folder: Path, split: Split) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"no such data folder: {folder}")
    for place in (folder, folder / "cifar10"):
        files = sorted(place.glob(f"{split}*.parquet"))
        if files:
            return files
    raise DataError(f"no {split}*.parquet in {folder} or its folder cifar10")


def parquet_rows(files: list[Path]) -> Any:
    """Return the rows of parquet files, without decoding their pictures; raises DataError."""
    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # one line tells what is wrong, and it is ours
    try:
        return _undecoded(datasets.Dataset.from_parquet([str(file) for file in files]))
    except Exception as error:  # the library passes on whatever its reader raises
        raise DataError(f"cannot read {files[0]}: {_first_line(error.__cause__ or error)}") from error


def label_column(rows: Any, name: str) -> npt.NDArray[np.int64]:
    """Return the labels of the data set `name`; raises DataError if they are no integers."""
    try:
        return np.asarray(rows["label"], np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} has labels that are no integers: {_first_line(error)}") from error


def _hub_rows(split: Split) -> Any:
    import datasets

    try:
        return _undecoded(datasets.load_dataset(CIFAR10_HUB, split=split))
    except Exception as error:  # network, hub and cache errors have no common base
        raise DataError(f"cannot download {CIFAR10_HUB}: {_first_line(error)}") from error


def _undecoded(rows: Any) -> Any:
    import datasets

    for column in {"img", "image"} & set(rows.column_names):
        rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
