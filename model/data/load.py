# SPDX-License-Identifier: Apache-2.0
"""The data set of a network, by the network's name or its shape."""

import os
from pathlib import Path

import numpy as np

from model.data import cifar10, own
from model.data.imagenet import load_pictures
from model.data.images import DataSet, Images, Split
from model.data.samples import load_digits, photo_patches
from model.errors import DataError
from model.networks import NetworkSpec, network_spec

DATA_VARIABLE = "IR2NET_DATA"


def load_data(
    network: str | NetworkSpec,
    split: Split,
    data_dir: Path | None = None,
    *,
    download: bool = False,
    skip_damaged: bool = False,
) -> DataSet:
    """Return one split of a network's data set, for training or testing; raises DataError.

    As load_images, and ImageNet as well: from a folder of pictures or of the hub's parquet files.
    """
    spec = network_spec(network)
    if spec.dataset != "imagenet":
        return load_images(spec, split, data_dir, download=download, skip_damaged=skip_damaged)
    folder = _source(data_dir)
    if folder is None:
        raise DataError(f"no ImageNet: give its folder with --data-dir or {DATA_VARIABLE}")
    pictures = load_pictures(folder, split, spec.classes)
    return pictures.without_damaged() if skip_damaged else pictures


def load_images(
    network: str | NetworkSpec,
    split: Split,
    data_dir: Path | None = None,
    *,
    download: bool = False,
    skip_damaged: bool = False,
) -> Images:
    """Return one split of the data set that a network is made for; raises DataError.

    CIFAR-10 and data sets of one's own are read from `data_dir` (or what IR2NET_DATA names), CIFAR-10 from the Hugging
    Face hub only with `download`. Digits come with scikit-learn. Pictures in files of one's own that cannot be read
    are left out with `skip_damaged`.
    """
    spec = network_spec(network)
    if spec.dataset == "imagenet":
        raise DataError("ImageNet does not fit into memory: its pictures are read one by one (load_data)")
    if spec.dataset == "digits":
        return load_digits(split)
    source = _source(data_dir)
    if spec.dataset == "own":
        if source is None:
            raise DataError(f"{spec.name} has data of your own: name the folder or .npz with --data-dir")
        _require(own.own_files(source, split), source)
        found = own.load_own(source, split, spec, skip_damaged=skip_damaged)
    elif source is None and not download:
        raise DataError(
            f"no CIFAR-10: give its folder with --data-dir or {DATA_VARIABLE}, or ask for a download with --download"
        )
    else:
        found = cifar10.load_cifar10(split, source)
    _check(found, spec)
    return found


def fitted(network: str, data_dir: Path | None) -> NetworkSpec:
    """Return the network to train: with the classes and the size of a data set of one's own, where there is one.

    That is a folder of pictures or an .npz in the place of CIFAR-10, or given for a network of digits. A network that
    says `dataset: own` in its file is left as it is. Raises DataError or UnknownNetworkError.
    """
    spec = network_spec(network)
    source = data_dir if spec.dataset == "digits" else _source(data_dir)
    if spec.dataset not in {"cifar10", "digits"} or source is None or cifar10.is_there(source):
        return spec
    return own.fitted(spec, source) if own.own_files(source, "train") else spec


def sample_images(network: str | NetworkSpec, count: int) -> Images:
    """Return `count` images that need no download, for verification: always the same ones.

    Digits of the test split with labels for networks of digits; else patches of scikit-learn's sample
    photographs, without labels.
    """
    spec = network_spec(network)
    if spec.dataset == "digits":
        test = load_digits("test")
        return test.chosen(np.arange(count) % len(test), test.dataset)
    return Images("sample photographs, of none of the classes", photo_patches(spec.input_shape, count))


def class_names(network: str | NetworkSpec) -> tuple[str, ...]:
    """What the classes of a network's data set are called; empty where they are numbers, or very many."""
    spec = network_spec(network)
    return spec.names or (cifar10.CLASSES if spec.dataset == "cifar10" else ())


def data_files(network: str | NetworkSpec, split: Split, source: Path) -> list[Path]:
    """Return the files that a split is read from, none where it needs none; raises DataError where it is not there."""
    spec = network_spec(network)
    if spec.dataset == "imagenet":
        load_data(spec, split, source)  # not to be hashed, too many
    elif spec.dataset == "own":
        return _require(own.own_files(source, split), source)
    elif spec.dataset != "digits":
        return cifar10.split_files(source, split)
    elif not source.is_dir() or not any(source.iterdir()):
        raise DataError(f"nothing is in {source}; {spec.name} takes scikit-learn's digits, which need no folder")
    return []


def _require(files: list[Path], source: Path) -> list[Path]:
    if not files:
        raise DataError(
            f"{source} holds no data set: neither folders of pictures, one for each class, nor is it an .npz"
        )
    return files


def _check(found: Images, spec: NetworkSpec) -> None:
    """Raise DataError for images of another size, or of other classes."""
    if found.images.shape[1:] != spec.input_shape:
        raise DataError(f"{found.dataset} has images {found.images.shape[1:]}, {spec.name} takes {spec.input_shape}")
    if found.labels is not None and found.labels.max() >= spec.classes:
        raise DataError(f"{found.dataset} has {found.labels.max() + 1} classes, {spec.name} has {spec.classes}")
    if found.classes and spec.names and found.classes != spec.names:
        ours, theirs = (set(names) for names in (spec.names, found.classes))
        odd = ", ".join(sorted(ours ^ theirs)[:3])
        raise DataError(f"{found.dataset} and {spec.name} have not the same classes: {odd}")


def _source(given: Path | None) -> Path | None:
    """Return what was given, or what IR2NET_DATA names, or None."""
    named = os.environ.get(DATA_VARIABLE)
    return given or (Path(named) if named else None)
