# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 in a folder, in each of the forms in which it is handed round, or from the Hugging Face hub.

Parquet: SPLIT.parquet, or the hub's parts of it. Batches: those of the page of CIFAR-10, for Python (which torchvision
downloads) or binary. Each lies in the folder itself, or in one inside it that has its usual name.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model.data.images import Images, Pictures, Split
from model.data.parquet import encoded_pictures, hub_rows, labels_of, parquet_files
from model.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HUB = "uoft-cs/cifar10"
SHAPE = (3, 32, 32)
JPEG = b"\xff\xd8"
"""How a JPEG file begins: a copy of CIFAR-10 that is made of such is another data set."""

INNER = ("", "cifar10", "plain_text", "cifar10/plain_text", "cifar-10-batches-py", "cifar-10-batches-bin")
BATCHES: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
PLAIN = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
"""What a pickle of bytes and arrays names; another one is not read."""


def load_cifar10(split: Split, folder: Path | None) -> Images:
    """Return one split, from the hub where no folder is given; raises DataError."""
    if folder is None:
        rows, picture = hub_rows(HUB, split)
        return _decoded([row["bytes"] for row in rows[picture]], rows["label"])
    files = split_files(folder, split)
    if files[0].suffix == ".parquet":
        return _decoded(*encoded_pictures(files))
    parts = [_binary(file) if file.suffix == ".bin" else _pickled(file) for file in files]
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Images("CIFAR-10", pixels.reshape(-1, *SHAPE), labels_of(labels, str(folder), len(CLASSES)))


def is_there(folder: Path) -> bool:
    """Return whether a folder holds CIFAR-10, or some of it."""
    names = [f"{name}*" for names in BATCHES.values() for name in names] + [f"{split}*.parquet" for split in BATCHES]
    return any(any((folder / inner).glob(name)) for inner in INNER for name in names)


def split_files(folder: Path, split: Split) -> list[Path]:
    """Return the files of a split; raises DataError where there is none, or not all of them."""
    if not folder.is_dir():
        raise DataError(f"no such data folder: {folder}")
    for home in (folder / inner for inner in INNER):
        if files := parquet_files(home, split):
            return files
        for ending in ("", ".bin"):
            batches = [home / f"{name}{ending}" for name in BATCHES[split]]
            missing = [path for path in batches if not path.is_file()]
            if not missing:
                return batches
            if len(missing) < len(batches):
                raise DataError(f"{missing[0]} is missing beside {batches[-1].name}")
    raise DataError(
        f"no CIFAR-10 in {folder}: neither {split}.parquet, nor {BATCHES[split][0]} of the Python or binary version"
    )


def _decoded(encoded: list[bytes], found: Any) -> Images:
    """Return images of encoded pictures and their labels."""
    labels = labels_of(found, "CIFAR-10", len(CLASSES))
    read = Pictures("CIFAR-10", labels, encoded.__getitem__, "{} of CIFAR-10".format).read
    pictures = [read(index) for index in range(len(encoded))]
    sizes = {tuple(picture.shape[1:]) for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"CIFAR-10 has pictures of different sizes: {' and '.join(map(str, sorted(sizes)[:2]))}")
    name = "CIFAR-10 (JPEG copy)" if encoded[0].startswith(JPEG) else "CIFAR-10"
    return Images(name, torch.stack(pictures).contiguous().numpy(), labels)


class _PlainUnpickler(pickle.Unpickler):
    """Reads bytes, numbers, lists, dictionaries and arrays; whatever else a pickle names is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a name that an array is made with."""
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return super().find_class(module, name)


def _pickled(file: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    try:
        batch = _PlainUnpickler(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        pixels, labels = batch[b"data"], np.asarray(batch[b"labels"], np.int64)
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), np.prod(SHAPE)):
            raise ValueError(f"data of {pixels.dtype} and shape {pixels.shape}")
    except Exception as error:  # a pickle is a program: a damaged one may raise anything
        raise DataError(f"cannot read {file}: {error or type(error).__name__}") from error
    return pixels, labels


def _binary(file: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read records of a label and its pixels."""
    content, record = np.fromfile(file, np.uint8), 1 + int(np.prod(SHAPE))
    if len(content) % record:
        raise DataError(f"cannot read {file}: its size is no multiple of {record} bytes, it was cut")
    records = content.reshape(-1, record)
    return records[:, 1:], records[:, 0].astype(np.int64)
