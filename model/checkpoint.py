# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: weights as safetensors, and beside them a card that says where they come from.

NAME.safetensors goes with NAME.card.json. Nothing is unpickled. In a packed one, a tensor
NAME.weight.signs is a bit for each binary weight, 1 for w >= 0, in their order, the first the highest of its byte.
"""

import hashlib
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from model.errors import CheckpointError, first_problem
from model.networks import NETWORKS, Network, NetworkSpec, Precision, Recovery, create_network, network_spec
from model.networks.kit import BinaryWeights
from model.networks.quantizers import Formats

CHECKPOINT_DIR = Path(__file__).parent / "checkpoints"
SUFFIX = ".safetensors"
SIGNS = ".signs"
COUNTER = "num_batches_tracked"


class Card(BaseModel):
    """What a checkpoint is: its origin, and the accuracy that was measured."""

    model_config = ConfigDict(extra="forbid")

    network: str
    precision: Precision = "hardware"
    # information recovery; null: the network's own
    recovery: Recovery | None = None
    # shape; null: that of the registry
    spec: NetworkSpec | None = None
    # integer formats of hardware precision; null: the default ones
    formats: Formats | None = None
    # name of the data set it was trained on, and the number of its images
    dataset: str
    images: int = Field(ge=0)
    # part of the data set that it has not seen (model.data.Part)
    left_out: str | None = Field(default=None, pattern=r"^\d+/\d+$")
    # passes over the training images
    epochs: float = Field(ge=0)
    seed: int
    # share of the test images answered rightly, and their number
    top1: float | None = Field(default=None, ge=0, le=1)
    test_images: int | None = Field(default=None, ge=1)
    command: str
    # digest of the .safetensors file
    sha256: str
    date: str


def shipped_checkpoint(network: str | Path) -> Path:
    """Return the path of the checkpoint that comes with the package; raises CheckpointError where there is none."""
    path = CHECKPOINT_DIR / f"{network_spec(network).name}{SUFFIX}"
    if not path.is_file():
        raise CheckpointError(
            f"no weights come with {network}: train it (ir2net train), and give --checkpoint; or build it with "
            "--weights random"
        )
    return path


def card_path(path: Path) -> Path:
    """Return the path of a checkpoint's card."""
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}.card.json")


def save_checkpoint(path: Path, network: Network, card: Card, *, packed: bool = False) -> Card:
    """Write weights and card; what the card says of the network is set here. Raises CheckpointError.

    A file is replaced at once or not at all. `packed`: of the binary weights of a network of hardware precision, the
    signs only, which are all that its hardware has.
    """
    check_name(path)
    tensors = _packed(network) if packed else network.state_dict()
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    facts = {
        "network": network.spec.name,
        "precision": network.precision,
        "recovery": network.recovery,
        "spec": None if network.spec == NETWORKS.get(network.spec.name) else network.spec,
        "formats": network.formats,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    card = card.model_copy(update=facts)
    replace_file(path, data)
    write_card(path, card)
    return card


def _packed(network: Network) -> dict[str, Tensor]:
    state = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, BinaryWeights):
            signs = state.pop(f"{name}.weight") >= 0
            state[f"{name}.weight{SIGNS}"] = torch.from_numpy(np.packbits(signs.numpy()))
    return state


def _unpacked(tensors: dict[str, Tensor], network: Network, path: Path) -> dict[str, Tensor]:
    """-1 and 1 in place of bits; raises CheckpointError."""
    found, weights = dict(tensors), network.state_dict()
    for key in (key for key in tensors if key.endswith(SIGNS)):
        bits, weight = found.pop(key), weights.get(key.removesuffix(SIGNS))
        if weight is None or bits.dtype != torch.uint8 or bits.shape != (math.ceil(weight.numel() / 8),):
            raise CheckpointError(f"{path} does not fit {network.spec.name}: tensor {key} is not its signs")
        signs = torch.from_numpy(np.unpackbits(bits.numpy(), count=weight.numel()))
        found[key.removesuffix(SIGNS)] = (2 * signs.to(weight.dtype) - 1).reshape(weight.shape)
    return found


def check_name(path: Path) -> None:
    """Raise CheckpointError unless the name is one of a checkpoint."""
    if path.suffix != SUFFIX:
        raise CheckpointError(f"a checkpoint's name ends in {SUFFIX}, as `ir2net train` writes it: {path}")


def write_card(path: Path, card: Card) -> None:
    """Write the card of the checkpoint at `path`; raises CheckpointError."""
    replace_file(card_path(path), (card.model_dump_json(indent=2) + "\n").encode())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file at once or not at all; raises CheckpointError."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from error


def load_card(path: Path) -> Card:
    """Read the card of the checkpoint at `path`; raises CheckpointError."""
    card_file = card_path(path)
    try:
        return Card.model_validate_json(card_file.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"the checkpoint {path} has no card {card_file.name}, which training writes beside it; copy both"
        ) from error
    except ValidationError as error:
        raise CheckpointError(f"damaged card {card_file}: {first_problem(error)}") from error


def load_checkpoint(
    path: Path, network: str | Path | NetworkSpec | None = None, precision: Precision | None = None
) -> tuple[Network, Card]:
    """Read a checkpoint into a light network in evaluation mode.

    Checks the weights against the card's sha256 and, where `network` or `precision` is given, that it is a
    checkpoint of that. Raises CheckpointError, or UnknownNetworkError for a card of an unknown network.
    """
    check_name(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    card = load_card(path)
    if network is not None:
        _check_shape(path, card, network)
    if precision is not None and card.precision != precision:
        raise CheckpointError(f"{path} is a checkpoint of {card.precision} precision, not of {precision} precision")
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.sha256:
        raise CheckpointError(
            f"damaged checkpoint {path}: sha256 is {digest[:12]}..., its card says {card.sha256[:12]}..."
        )
    result = create_network(
        card.spec or card.network, precision=card.precision, recovery=card.recovery, formats=card.formats
    )
    try:
        load_weights(result, _unpacked(load(data), result, path), path, result.spec.name)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from error
    return result.eval(), card


def _check_shape(path: Path, card: Card, network: str | Path | NetworkSpec) -> None:
    """Raise CheckpointError for weights of another network; those of a network by name may have data of one's own."""
    spec = network_spec(network)
    if card.network != spec.name:
        raise CheckpointError(f"{path} is a checkpoint of {card.network}, not of {spec.name}")
    if card.spec is None or spec.name in NETWORKS:
        return
    found = vars(card.spec)
    for field, value in vars(replace(spec, names=card.spec.names)).items():
        if found[field] != value:
            raise CheckpointError(
                f"{path} is not of the network {spec.name}: its {field} is {found[field]}, not {value}"
            )


def load_weights(
    network: nn.Module, tensors: dict[str, Tensor], path: Path, name: str, *, counters: bool = True
) -> None:
    """Put tensors into a network, which messages call `name`; raises CheckpointError that names the first misfit.

    Without `counters`, the numbers of batches that batch norms have seen may be missing.
    """
    wanted, found = (
        {key: tuple(tensor.shape) for key, tensor in state.items() if counters or not key.endswith(COUNTER)}
        for state in (network.state_dict(), tensors)
    )
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise CheckpointError(
                f"{path} does not fit {name}: tensor {key} is {found.get(key, 'missing')}, "
                f"expected {wanted.get(key, 'none')}"
            )
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{path} holds no weights to use: in tensor {key} are values that are no finite numbers"
            )
    network.load_state_dict(tensors, strict=counters)
