# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 from parquet files in a folder, or from the Hugging Face hub."""

from pathlib import Path

import torch

from model.data.images import Images, Pictures, Split
from model.data.parquet import file_rows, hub_rows, labels_of, parquet_files
from model.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HUB = "uoft-cs/cifar10"
PICTURE = "img"
JPEG = b"\xff\xd8"
"""How a JPEG file begins: a copy of CIFAR-10 that is made of such is another data set."""


def load_cifar10(split: Split, folder: Path | None) -> Images:
    """Return one split, from the hub where no folder is given; raises DataError."""
    rows = hub_rows(HUB, split, PICTURE) if folder is None else file_rows(split_files(folder, split), PICTURE)
    labels = labels_of(rows, "CIFAR-10", len(CLASSES))
    encoded = [row["bytes"] for row in rows[PICTURE]]
    read = Pictures("CIFAR-10", labels, encoded.__getitem__, "{} of CIFAR-10".format).read
    pictures = [read(index) for index in range(len(encoded))]
    sizes = {tuple(picture.shape[1:]) for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"CIFAR-10 has pictures of different sizes: {' and '.join(map(str, sorted(sizes)[:2]))}")
    name = "CIFAR-10 (JPEG copy)" if encoded[0].startswith(JPEG) else "CIFAR-10"
    return Images(name, torch.stack(pictures).contiguous().numpy(), labels)


def split_files(folder: Path, split: Split) -> list[Path]:
    """Return the files of a split in a folder, directly or in cifar10 inside it; raises DataError."""
    if files := parquet_files(folder, "cifar10", split):
        return files
    raise DataError(f"no {split}*.parquet in {folder} or its folder cifar10")
