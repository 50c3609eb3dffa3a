# SPDX-License-Identifier: Apache-2.0
"""Data sets of one's own: image folders as systems leave them, arrays, and the networks that fit them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data import class_names, data_files, fitted, load_data, load_images
from model.errors import DataError
from model.networks import network_spec

COLOURS = {"cat": (250, 10, 10), "dog": (10, 250, 10), "owl": (10, 10, 250)}


def encoded(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(root: Path, count: int = 2) -> Path:
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (root / name / f"{index}.png").write_bytes(encoded(colour))
    return root


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        write_folder(tmp_path / "pets" / split)
    return tmp_path / "pets"


@pytest.mark.parametrize(("name", "channels", "size"), [("resnet20", 3, 32), ("tiny", 1, 16)])
def test_a_network_is_fitted_to_an_image_folder(name: str, channels: int, size: int, pets: Path) -> None:
    spec = fitted(name, pets)
    assert (spec.name, spec.classes, spec.size, spec.dataset) == (name, 3, size, "own")
    assert class_names(spec) == ("cat", "dog", "owl")
    train, test = (load_images(spec, split, pets) for split in ("train", "test"))
    assert train.images.shape == test.images.shape == (6, channels, size, size)
    assert test.labels is not None and test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    if channels == 3:
        assert test.images.mean((2, 3)).argmax(1).tolist() == test.labels.tolist()
    assert len(data_files(spec, "test", pets)) == 6


def test_without_splits_a_fifth_is_for_testing(tmp_path: Path) -> None:
    write_folder(tmp_path, 5)
    spec = fitted("resnet20", tmp_path)
    parts = [load_images(spec, split, tmp_path) for split in ("train", "test")]
    assert [len(part) for part in parts] == [12, 3]
    assert all(part.labels is not None and len(part.images) == len(part.labels) for part in parts)


def test_what_systems_leave_in_folders_is_no_class_and_no_picture(pets: Path) -> None:
    for odd in (".ipynb_checkpoints", "@eaDir", "__MACOSX", "cat/.ipynb_checkpoints", "cat/@eaDir", "cat/@eaDir/0.png"):
        (pets / "val" / odd).mkdir()
    for odd in (".DS_Store", "._0.png", "Thumbs.db"):
        (pets / "val" / "cat" / odd).write_bytes(b"no picture")
    (pets / "val" / "@eaDir" / "0.png").write_bytes(b"no picture")
    assert len(load_images(fitted("resnet20", pets), "test", pets)) == 6


@pytest.mark.parametrize("left", [0, 50])
def test_a_damaged_picture_is_named_and_can_be_left_out(left: int, pets: Path) -> None:
    spec, damaged = fitted("resnet20", pets), pets / "val" / "dog" / "1.png"
    damaged.write_bytes(encoded((1, 2, 3))[:left])
    with pytest.raises(DataError, match=r"cannot read the picture .*dog/1\.png: .*--skip-damaged"):
        load_images(spec, "test", pets)
    found = load_data(spec, "test", pets, skip_damaged=True)
    assert found.labels is not None and found.labels.tolist() == [0, 0, 1, 2, 2]
    assert found.dataset == "pets (1 damaged left out)"


def test_pictures_of_the_right_size_are_left_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for split in ("train", "test"):
        for name in COLOURS:
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / split / name / "a.png")
    found = load_images(fitted("resnet20", tmp_path), "test", tmp_path)
    assert np.array_equal(found.images[0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("names", ["{split}_images {split}_labels", "x_{split} y_{split}"])
@pytest.mark.parametrize("layout", ["last", "first", "grey"])
def test_a_network_is_fitted_to_arrays(layout: str, names: str, tmp_path: Path) -> None:
    shape = {"last": (6, 48, 48, 3), "first": (6, 3, 48, 48), "grey": (6, 28, 28)}[layout]
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    arrays = {}
    for split in ("train", "test"):
        keys = names.format(split=split).split()
        arrays |= {keys[0]: pixels, keys[1]: np.arange(6)[:, None] % 5}
    np.savez(tmp_path / "own.npz", **arrays)
    name = "tiny" if layout == "grey" else "resnet20"
    spec = fitted(name, tmp_path / "own.npz")
    assert (spec.classes, spec.size) == (5, shape[2])
    found = load_images(spec, "test", tmp_path / "own.npz")
    assert found.labels is not None and found.labels.tolist() == [0, 1, 2, 3, 4, 0]
    expected = pixels[:, None] if layout == "grey" else pixels.transpose(0, 3, 1, 2) if layout == "last" else pixels
    assert np.array_equal(found.images, expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": np.zeros((2, 32, 32, 3), np.float32), "y_train": np.arange(2)}, "float32, not uint8"),
        ({"x_train": np.zeros((2, 32, 30, 3), np.uint8), "y_train": np.arange(2)}, "must be square"),
        ({"x_train": np.zeros((2, 32, 32, 3), np.uint8), "y_train": np.arange(3)}, "one integer each"),
        ({"x_train": np.zeros((2, 32, 32, 3), np.uint8)}, "lacks the arrays of the split train"),
        ({"x_train": np.array([None]), "y_train": np.arange(1)}, "cannot read"),
    ],
)
def test_arrays_that_are_no_images_are_explained(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=message):
        fitted("resnet20", tmp_path / "own.npz")


def test_other_classes_than_those_trained_for_are_named(pets: Path) -> None:
    spec = fitted("resnet20", pets)
    (pets / "val" / "owl").rename(pets / "val" / "ape")
    with pytest.raises(DataError, match="have not the same classes: ape, owl"):
        load_images(spec, "test", pets)


def test_what_is_no_data_of_ones_own_leaves_the_network_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IR2NET_DATA", str(write_folder(tmp_path / "pets")))
    assert fitted("tiny", None) == network_spec("tiny")  # its digits are at hand; data are given or not
    (tmp_path / "test.parquet").touch()
    assert fitted("resnet20", tmp_path) == network_spec("resnet20")
    with pytest.raises(DataError, match="no such data folder"):
        fitted("resnet20", tmp_path / "nowhere")
