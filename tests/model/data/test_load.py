# SPDX-License-Identifier: Apache-2.0
"""Data sets: splits, shapes, and clear errors."""

import io
import pickle
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from model.data import DATA_VARIABLE, Part, data_files, load_data, load_images, sample_images
from model.errors import DataError


def write_parquet(
    folder: Path, split: str, *, kind: str = "PNG", labels: tuple[int, ...] = (3, 9), size: int = 32
) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for index in range(len(labels)):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8)).save(buffer, kind)
        rows.append({"bytes": buffer.getvalue(), "path": f"{index}"})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"img": rows, "label": list(labels)}), folder / f"{split}-0.parquet")


def test_digits_split_is_fixed_and_disjoint() -> None:
    train, test = load_images("tiny", "train"), load_images("tiny", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.shape[1:] == (1, 16, 16)
    assert train.images.dtype == np.uint8
    assert train.images.max() == 240
    assert np.array_equal(test.images, load_images("tiny", "test").images)


def test_every_image_is_in_one_part() -> None:
    train = load_images("tiny", "train")
    parts = [Part(index, 3) for index in (1, 2, 3)]
    assert sum(part.of(len(train)).astype(int) for part in parts).tolist() == [1] * len(train)
    assert [len(train.without(part)) for part in parts] == [958, 958, 958]
    rest = train.without(parts[0])
    assert rest.dataset == f"{train.dataset} without part 1/3" and rest.labels is not None and train.labels is not None
    assert np.array_equal(rest.images, train.images[~parts[0].of(len(train))])
    assert np.array_equal(rest.labels, train.labels[~parts[0].of(len(train))])
    assert np.flatnonzero(Part(1, 2).of(12)).tolist() == [4, 5, 6, 8, 9, 11]  # cards name parts: they stay the same


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/1", "1/3 ", "a/b", "-1/3"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(DataError, match="the first of three is written 1/3"):
        Part.read(text)
    assert str(Part.read("2/3")) == "2/3"


@pytest.mark.parametrize("name", ["tiny", "resnet20"])
def test_sample_images_are_always_the_same(name: str) -> None:
    few, many = sample_images(name, 3), sample_images(name, 5)
    assert np.array_equal(few.images, many.images[:3])
    assert few.images.std() > 10
    assert (few.labels is not None) == (name == "tiny")


def test_photo_patches_have_the_shape_of_cifar10() -> None:
    assert sample_images("resnet20", 4).images.shape == (4, 3, 32, 32)


@pytest.mark.parametrize("place", ["", "cifar10"])
def test_cifar10_from_a_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / place, "test")
    found = load_images("resnet20", "test", tmp_path)
    assert found.images.shape == (2, 3, 32, 32)
    assert found.labels is not None
    assert found.labels.tolist() == [3, 9]
    assert found.dataset == "CIFAR-10"
    expected = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(found.images[0], expected.transpose(2, 0, 1))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert np.array_equal(load_images("resnet20", "test").images, found.images)


def test_jpeg_copy_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path, "train", kind="JPEG")
    assert load_images("resnet20", "train", tmp_path).dataset == "CIFAR-10 (JPEG copy)"


def test_missing_data_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(DataError, match="--data-dir"):
        load_images("resnet20", "test")
    with pytest.raises(DataError, match="no such data folder"):
        load_images("resnet20", "test", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no CIFAR-10 in .*: neither test\.parquet, nor test_batch"):
        load_images("resnet20", "test", tmp_path)


def test_bad_files_are_explained(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"cannot read .*not a parquet file"):
        load_images("resnet20", "test", tmp_path)
    rows = [{"bytes": b"no picture", "path": "0"}]
    pq.write_table(pa.table({"img": rows, "label": [0]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match="cannot read the picture 0 of CIFAR-10"):
        load_images("resnet20", "test", tmp_path)
    pq.write_table(pa.table({"picture": rows, "label": [0]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match="lacks the column img or image"):
        load_images("resnet20", "test", tmp_path)


def test_wrong_sizes_are_explained(tmp_path: Path) -> None:
    write_parquet(tmp_path, "test", size=16)
    with pytest.raises(DataError, match=r"images \(3, 16, 16\), resnet20 takes \(3, 32, 32\)"):
        load_images("resnet20", "test", tmp_path)
    (tmp_path / "test-0.parquet").rename(tmp_path / "test-1.parquet")
    write_parquet(tmp_path, "test")
    with pytest.raises(DataError, match=r"different sizes: \(16, 16\) and \(32, 32\)"):
        load_images("resnet20", "test", tmp_path)


def test_imagenet_is_not_loaded_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(DataError, match="does not fit into memory"):
        load_images("birealnet18_A", "test", tmp_path)
    with pytest.raises(DataError, match="no ImageNet: give its folder"):
        load_data("birealnet18_A", "test")
    (tmp_path / "val" / "n01").mkdir(parents=True)
    for read in (load_data, data_files):
        with pytest.raises(DataError, match="1 folders of classes, the network has 1000"):
            read("birealnet18_A", "test", tmp_path)


def test_a_folder_without_images_is_noticed_without_reading_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        for network in ("resnet20", "tiny"):
            with pytest.raises(DataError, match=str(folder)):
                data_files(network, "test", folder)
    (tmp_path / "test.parquet").touch()
    assert data_files("resnet20", "test", tmp_path) == [tmp_path / "test.parquet"]
    assert data_files("tiny", "test", tmp_path) == []


def test_label_out_of_range(tmp_path: Path) -> None:
    write_parquet(tmp_path, "test", labels=(3, 10))
    with pytest.raises(DataError, match="labels outside"):
        load_images("resnet20", "test", tmp_path)


def batches(seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Pixels of three images as a batch of CIFAR-10 holds them, and their labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (3, 3072), np.uint8), rng.integers(0, 10, 3).tolist()


def write_batches(home: Path, kind: str) -> None:
    home.mkdir(parents=True)
    for seed, name in enumerate(["test_batch", *(f"data_batch_{number}" for number in range(1, 6))]):
        pixels, labels = batches(seed)
        if kind == "python":
            (home / name).write_bytes(pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2))
        else:
            records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
            (home / f"{name}.bin").write_bytes(records.tobytes())


@pytest.mark.parametrize("place", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize("kind", ["python", "binary"])
def test_cifar10_in_batches(kind: str, place: str, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    write_batches(folder / place, kind)
    train, test = (load_images("resnet20", split, folder) for split in ("train", "test"))
    assert (len(train), len(test)) == (15, 3)
    pixels, labels = batches()
    assert np.array_equal(test.images, pixels.reshape(3, 3, 32, 32))
    assert test.labels is not None and test.labels.tolist() == labels
    assert np.array_equal(train.images[-3:], batches(5)[0].reshape(3, 3, 32, 32))


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    write_batches(tmp_path / "x", "python")
    victim = tmp_path / "victim"
    (tmp_path / "x" / "test_batch").write_bytes(pickle.dumps({b"data": Touch(victim)}, protocol=2))
    with pytest.raises(DataError, match=r"cannot read .*test_batch: it names \w+\.\w+, which no array needs"):
        load_images("resnet20", "test", tmp_path / "x")
    assert not victim.exists()


class Touch:
    """Makes a file as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_batches_that_are_cut_or_missing_are_named(tmp_path: Path) -> None:
    write_batches(tmp_path / "x", "binary")
    (tmp_path / "x" / "test_batch.bin").write_bytes(b"1" * 5000)
    with pytest.raises(DataError, match=r"cannot read .*test_batch\.bin: .*it was cut"):
        load_images("resnet20", "test", tmp_path / "x")
    (tmp_path / "x" / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_2\.bin is missing"):
        load_images("resnet20", "train", tmp_path / "x")


@pytest.mark.parametrize("place", ["plain_text", "cifar10/plain_text"])
def test_the_layout_of_the_hub(place: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / place, "test")
    (tmp_path / place / "test-0.parquet").rename(tmp_path / place / "test-00000-of-00001.parquet")
    write_parquet(tmp_path / place, "testing")
    assert len(load_images("resnet20", "test", tmp_path)) == 2


def test_only_files_of_the_split_are_read_each_once(tmp_path: Path) -> None:
    write_parquet(tmp_path, "test")
    file = tmp_path / "test-0.parquet"
    for name in ("test (1).parquet", "test-0 copy.parquet", "._test-0.parquet", "test-old.parquet"):
        shutil.copy(file, tmp_path / name)
    assert len(load_images("resnet20", "test", tmp_path)) == 2
    shutil.copy(file, tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"the split test more than once: test-0\.parquet and test\.parquet"):
        load_images("resnet20", "test", tmp_path)
    (tmp_path / "test.parquet").unlink()
    file.rename(tmp_path / "test-00000-of-00002.parquet")
    with pytest.raises(DataError, match="holds 1 of the 2 parts of test"):
        load_images("resnet20", "test", tmp_path)


def test_the_pictures_column_may_be_called_image(tmp_path: Path) -> None:
    write_parquet(tmp_path, "test")
    file = tmp_path / "test-0.parquet"
    before = load_images("resnet20", "test", tmp_path)
    pq.write_table(pq.read_table(file).rename_columns(["image", "label"]), file)
    assert np.array_equal(load_images("resnet20", "test", tmp_path).images, before.images)


def test_a_local_file_is_read_without_writing_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a home that is read-only: a file in the place of the folder cannot become one, for root neither."""
    write_parquet(tmp_path / "data", "test")
    (tmp_path / "home").touch()
    for variable in ("HOME", "HF_HOME", "HF_DATASETS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    assert len(load_images("resnet20", "test", tmp_path / "data")) == 2


def test_the_hub_is_asked_with_download_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the place of the network: what the library gives for these rows is what it gives for the hub's."""
    write_parquet(tmp_path, "test")
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    asked = []

    def load_dataset(name: str, split: str) -> datasets.Dataset:
        asked.append((name, split))
        return datasets.Dataset.from_parquet(str(tmp_path / f"{split}-0.parquet"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match="ask for a download with --download"):
        load_images("resnet20", "test")
    here = load_images("resnet20", "test", tmp_path, download=True)
    assert asked == []
    found = load_images("resnet20", "test", download=True)
    assert asked == [("uoft-cs/cifar10", "test")]
    assert np.array_equal(found.images, here.images) and np.array_equal(found.labels, here.labels)
    with pytest.raises(DataError, match="cannot download uoft-cs/cifar10: Unable to find"):
        load_images("resnet20", "train", download=True)


def test_sample_photographs_have_no_labels_and_say_so() -> None:
    samples = sample_images("resnet20", 1)
    assert samples.labels is None
    assert samples.dataset == "sample photographs, of none of the classes"
