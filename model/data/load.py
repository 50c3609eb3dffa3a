# SPDX-License-Identifier: Apache-2.0
"""The data set of a network, by the network's name."""

import os
from pathlib import Path

import numpy as np

from model.data import cifar10
from model.data.imagenet import load_pictures
from model.data.images import DataSet, Images, Split
from model.data.samples import load_digits, photo_patches
from model.errors import DataError
from model.networks import network_spec

DATA_VARIABLE = "IR2NET_DATA"


def load_data(network: str, split: Split, data_dir: Path | None = None, *, download: bool = False) -> DataSet:
    """Return one split of a network's data set, for training or testing; raises DataError.

    As load_images, and ImageNet as well: from a folder of pictures or of the hub's parquet files.
    """
    spec = network_spec(network)
    if spec.dataset != "imagenet":
        return load_images(network, split, data_dir, download=download)
    folder = _folder(data_dir)
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
    if spec.dataset == "digits":
        return load_digits(split)
    folder = _folder(data_dir)
    if folder is None and not download:
        raise DataError(
            f"no CIFAR-10: give a folder of parquet files with --data-dir or {DATA_VARIABLE}, "
            "or ask for a download with --download"
        )
    found = cifar10.load_cifar10(split, folder)
    if found.images.shape[1:] != spec.input_shape:
        raise DataError(f"{found.dataset} has images {found.images.shape[1:]}, {spec.name} takes {spec.input_shape}")
    return found


def sample_images(network: str, count: int) -> Images:
    """Return `count` images that need no download, for verification: always the same ones.

    Digits of the test split with labels for networks of digits; else patches of scikit-learn's sample
    photographs, without labels.
    """
    spec = network_spec(network)
    if spec.dataset == "digits":
        test = load_digits("test")
        return test.chosen(np.arange(count) % len(test), test.dataset)
    return Images("scikit-learn's sample photographs", photo_patches(spec.input_shape, count))


def class_names(network: str) -> tuple[str, ...]:
    """What the classes of a network's data set are called; empty where they are numbers, or very many."""
    return cifar10.CLASSES if network_spec(network).dataset == "cifar10" else ()


def check_folder(network: str, folder: Path) -> None:
    """Raise DataError where a folder holds no test images for a network; none of them is read."""
    spec = network_spec(network)
    if spec.dataset == "imagenet":
        load_data(network, "test", folder)
    elif spec.dataset != "digits":
        cifar10.split_files(folder, "test")
    elif not any(folder.glob("*")):
        raise DataError(f"nothing is in {folder}; {network} takes scikit-learn's digits, which need no folder")


def _folder(given: Path | None) -> Path | None:
    """Return the given folder, or the one that IR2NET_DATA names, or None."""
    named = os.environ.get(DATA_VARIABLE)
    return given or (Path(named) if named else None)
