# SPDX-License-Identifier: Apache-2.0
"""ImageNet's loader on a few generated pictures, from folders and from parquet files."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from model.data import Pictures
from model.data.imagenet import load_pictures
from model.errors import DataError
from model.networks import create_network
from model.training.batches import make_batches
from model.training.distributed import World
from model.training.job import Job
from model.training.recipe import Phase, Recipe
from model.training.schedule import Schedule
from model.training.trainer import Trainer

CLASSES = 3
RECIPE = Recipe(
    network="birealnet18_D", batch_size=4, warmup_steps=0, shift=0, flip=True,
    phases=(Phase(epochs=2, size=32, restriction_interval=1, lr_start=1e-3, lr_end=1e-4),),
)  # fmt: skip


def encoded(index: int, kind: str = "JPEG") -> bytes:
    """Return a picture whose size and mode differ from the next one's, and whose colour tells its class."""
    size = (40 + 7 * index, 90 - 5 * index)
    colour = [(250, 10, 10), (10, 250, 10), (10, 10, 250)][index % CLASSES]
    buffer = io.BytesIO()
    picture = Image.new("RGB", size, colour)
    (picture.convert("CMYK") if kind == "JPEG" and index == 5 else picture).save(buffer, kind)
    return buffer.getvalue()


def write_folder(root: Path, split: str, count: int = 9) -> None:
    for index in range(count):
        place = root / split / f"n0{index % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index}.JPEG").write_bytes(encoded(index))


def write_parquet(root: Path, split: str, count: int = 9) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for part in range(2):
        rows = [{"bytes": encoded(i), "path": f"{i}.JPEG"} for i in range(part, count, 2)]
        labels = [i % CLASSES for i in range(part, count, 2)]
        pq.write_table(pa.table({"image": rows, "label": labels}), root / f"{split}-0000{part}-of-00002.parquet")


@pytest.fixture(params=["folder", "parquet", "parquet in data"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "folder":
        write_folder(tmp_path, "train")
        write_folder(tmp_path, "val", 6)
    else:
        place = tmp_path / "data" if request.param.endswith("data") else tmp_path
        write_parquet(place, "train")
        write_parquet(place, "validation", 6)
    return tmp_path


def colours(images: torch.Tensor) -> list[int]:
    return images.float().mean((2, 3)).argmax(1).tolist()


def test_pictures_and_labels_belong_together(root: Path) -> None:
    train, test = (load_pictures(root, split, CLASSES) for split in ("train", "test"))
    assert (len(train), len(test)) == (9, 6)
    assert {tuple(train.read(i).shape) for i in range(9)} == {(3, 90 - 5 * i, 40 + 7 * i) for i in range(9)}
    views = test.views(range(6), 32)
    assert views.shape == (6, 3, 32, 32)
    assert views.dtype == torch.uint8
    assert colours(views) == test.labels.tolist()


def test_batches_are_the_same_in_any_order_and_in_parts(root: Path) -> None:
    data = load_pictures(root, "train", CLASSES)
    schedule = Schedule(RECIPE, len(data))
    straight = make_batches(data, schedule, 3, World())
    course = [straight.at(step) for step in range(4)]
    for step in (2, 0, 3):
        images, labels, *_ = make_batches(data, schedule, 3, World()).at(step)
        assert torch.equal(images, course[step][0])
        assert colours(images) == labels.tolist() == course[step][1].tolist()
        halves = [make_batches(data, schedule, 3, World(rank, 2)).at(step)[0] for rank in range(2)]
        assert torch.equal(torch.cat(halves), images)
    assert not torch.equal(course[0][0], make_batches(data, schedule, 4, World()).at(0)[0])


def test_training_reads_real_pictures(root: Path) -> None:
    trainers = [
        Trainer(create_network("birealnet18_D", precision="paper", seed=0), Job(RECIPE, pictures(root), 0))
        for _ in range(2)
    ]
    losses = [[trainer.advance().loss for _ in range(2)] for trainer in trainers]
    assert losses[0] == losses[1]
    assert 1 < losses[0][0] < 15  # ln 1000 is 6.9


def pictures(root: Path) -> Pictures:
    return load_pictures(root, "train", CLASSES)


def test_folders_of_the_wrong_shape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data folder"):
        load_pictures(tmp_path / "nowhere", "train", CLASSES)
    with pytest.raises(DataError, match="neither a folder val or validation"):
        load_pictures(tmp_path, "test", CLASSES)
    write_folder(tmp_path, "train")
    with pytest.raises(DataError, match="has 3 folders of classes, the network has 1000"):
        load_pictures(tmp_path, "train", 1000)
    for file in (tmp_path / "train" / "n01").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="n01 has no pictures"):
        load_pictures(tmp_path, "train", CLASSES)


def test_parquet_of_the_wrong_shape(tmp_path: Path) -> None:
    write_parquet(tmp_path, "train")
    with pytest.raises(DataError, match=r"labels outside 0 \.\. 1"):
        load_pictures(tmp_path, "train", 2)
    file = next(tmp_path.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match="cannot read"):
        load_pictures(tmp_path, "train", CLASSES)
    for other in tmp_path.glob("*.parquet"):
        other.unlink()
    image, file = {"bytes": encoded(0), "path": "0"}, tmp_path / "train.parquet"
    for columns, message in (
        ({"picture": [image], "label": [0]}, "lacks the column img or image"),
        ({"image": [1], "label": [0]}, "cannot read"),
        ({"image": [image], "label": ["dog"]}, "labels that are no integers"),
    ):
        pq.write_table(pa.table(columns), file)
        with pytest.raises(DataError, match=message):
            load_pictures(tmp_path, "train", CLASSES)


def test_damaged_picture_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, "train")
    damaged = tmp_path / "train" / "n01" / "4.JPEG"
    damaged.write_bytes(np.random.default_rng(0).bytes(50))
    data = load_pictures(tmp_path, "train", CLASSES)
    with pytest.raises(DataError, match=r"cannot read the picture .*n01/4\.JPEG"):
        data.views(range(9), 32)
    truncated = encoded(4)
    damaged.write_bytes(truncated[: len(truncated) // 2])
    with pytest.raises(DataError, match=r"cannot read the picture .*n01/4\.JPEG"):
        data.views(range(9), 32)
