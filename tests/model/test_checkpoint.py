# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what is written is read, what is damaged is refused."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoint import (
    Card,
    card_path,
    load_card,
    load_checkpoint,
    save_checkpoint,
    shipped_checkpoint,
    write_card,
)
from model.data import load_images
from model.errors import CheckpointError
from model.networks import Network
from model.networks.kit import BinaryWeights
from model.training.evaluation import accuracy

CARD = Card(
    network="tiny", dataset="none", images=0, epochs=0, seed=0, top1=None, test_images=None, command="none",
    sha256="", date="2000-01-01",
)  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path, make_network: Callable[..., Network]) -> tuple[Path, Network]:
    path = tmp_path / "net.safetensors"
    network = make_network("tiny")
    save_checkpoint(path, network, CARD)
    return path, network


def test_round_trip(saved: tuple[Path, Network]) -> None:
    path, network = saved
    found, card = load_checkpoint(path, "tiny")
    assert card.network == "tiny"
    assert not found.training
    assert all(torch.equal(value, found.state_dict()[key]) for key, value in network.state_dict().items())
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.card.json", "net.safetensors"]


@pytest.mark.parametrize("name", ["tiny", "resnet18"])
def test_packed_weights_are_the_same_hardware(name: str, tmp_path: Path, make_network: Callable[..., Network]) -> None:
    """Also where their number is no multiple of eight, and where a weight is zero, whose sign is +1."""
    network = make_network(name)
    binary = [module for module in network.modules() if isinstance(module, BinaryWeights)]
    with torch.no_grad():
        binary[0].weight.view(-1)[0] = 0
    save_checkpoint(tmp_path / "net.safetensors", network, CARD, packed=True)
    found, card = load_checkpoint(tmp_path / "net.safetensors", name)
    assert card.network == name
    images = torch.randint(0, 256, (2, network.spec.channels, network.spec.size, network.spec.size), dtype=torch.uint8)
    assert torch.equal(found(images), network.eval()(images))
    floats = sum(tensor.numel() for tensor in network.state_dict().values()) * 4
    assert (tmp_path / "net.safetensors").stat().st_size < floats / (10 if name == "resnet18" else 1)


@pytest.mark.parametrize("wrong", [torch.zeros(3, dtype=torch.uint8), torch.zeros(3), None])
def test_signs_that_do_not_fit_are_named(wrong: torch.Tensor | None, saved: tuple[Path, Network]) -> None:
    path, network = saved
    save_checkpoint(path, network, CARD, packed=True)
    tensors = load_file(path)
    key = next(key for key in tensors if key.endswith(".signs"))
    tensors |= {"stem.weight.signs": tensors[key].clone()} if wrong is None else {key: wrong}
    save_file(tensors, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    write_card(path, load_card(path).model_copy(update={"sha256": sha256}))
    with pytest.raises(CheckpointError, match=r"does not fit tiny: tensor .*\.signs is not its signs"):
        load_checkpoint(path)


def test_one_flipped_bit_is_refused(saved: tuple[Path, Network]) -> None:
    path, _ = saved
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        load_checkpoint(path)


def test_other_network_is_refused(saved: tuple[Path, Network]) -> None:
    with pytest.raises(CheckpointError, match="checkpoint of tiny, not of resnet20"):
        load_checkpoint(saved[0], "resnet20")


def test_card_of_another_network_is_refused(saved: tuple[Path, Network]) -> None:
    path, _ = saved
    card_path(path).write_text(card_path(path).read_text().replace('"tiny"', '"resnet20"'))
    with pytest.raises(CheckpointError, match="does not fit resnet20"):
        load_checkpoint(path)


def test_missing_parts_are_named(saved: tuple[Path, Network]) -> None:
    path, _ = saved
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        load_checkpoint(path.with_name("other.safetensors"))
    card_path(path).unlink()
    with pytest.raises(CheckpointError, match=r"has no card net\.card\.json, .*; copy both"):
        load_checkpoint(path)


@pytest.mark.parametrize("text", ["no json", '{"network": "tiny"}', '{"colour": 1}'])
def test_damaged_card(text: str, saved: tuple[Path, Network]) -> None:
    card_path(saved[0]).write_text(text)
    with pytest.raises(CheckpointError, match="damaged card"):
        load_card(saved[0])


def test_unwritable_place(tmp_path: Path, make_network: Callable[..., Network]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "net.safetensors", make_network("tiny"), CARD)


def test_shipped_tiny_reads_digits() -> None:
    network, card = load_checkpoint(shipped_checkpoint("tiny"), "tiny")
    result = accuracy(network, load_images("tiny", "test"))
    assert result.images == card.test_images == 360
    assert result.top1 == card.top1
    assert result.top1 >= 0.95


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, saved: tuple[Path, Network]) -> None:
    path, network = saved
    with torch.no_grad():
        network.get_parameter("linear.weight")[0, 0] = value
    save_checkpoint(path, network, CARD)
    with pytest.raises(CheckpointError, match=r"in tensor linear\.weight are values that are no finite numbers"):
        load_checkpoint(path)


def test_the_card_of_a_network_of_the_registry_has_no_shape(saved: tuple[Path, Network]) -> None:
    assert load_card(saved[0]).spec is None


def test_a_network_without_shipped_weights_says_so() -> None:
    with pytest.raises(CheckpointError, match="no weights come with vgg_small: train it"):
        shipped_checkpoint("vgg_small")
