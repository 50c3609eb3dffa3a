# SPDX-License-Identifier: Apache-2.0
"""The registry of networks: what each of them is called, and its shape."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from model.errors import NetworkFileError, UnknownNetworkError, reading

Family = Literal["double", "basic", "bireal", "vgg"]
Recovery = Literal["compact", "full", "none"]


Positive = Annotated[int, Field(gt=0)]
Dataset = Literal["cifar10", "digits", "imagenet", "own"]


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a network: `blocks` blocks in each stage of `widths` channels.

    Every stage but the first halves the picture. `recovery` is what the paper uses for it, with `ratio` and
    `group_width` those of compact recovery (see CompactRecovery). `names` are those of the classes, where a data set
    of one's own has some.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    family: Family
    channels: Literal[1, 3]
    size: Positive
    widths: Annotated[tuple[Positive, ...], Field(min_length=1)]
    blocks: Positive
    classes: Annotated[int, Field(gt=1)]
    ratio: Positive
    dataset: Dataset
    recovery: Recovery = "compact"
    group_width: Positive = 1
    names: tuple[str, ...] = ()

    @property
    def shrink(self) -> int:
        """How many times wider and higher the picture is than the last feature map."""
        more = {"double": 0, "basic": 0, "bireal": 2, "vgg": 1}[self.family]
        return 1 << (len(self.widths) - 1 + more)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.size, self.size


def _birealnet18(variant: str, ratio: int, recovery: Recovery = "compact", group_width: int = 1) -> NetworkSpec:
    return NetworkSpec(
        f"birealnet18_{variant}", "bireal", 3, 224, (64, 128, 256, 512), blocks=4, classes=1000, ratio=ratio,
        dataset="imagenet", recovery=recovery, group_width=group_width,
    )  # fmt: skip


FILE_ENDINGS = (".yaml", ".yml")

NETWORKS = {
    spec.name: spec
    for spec in (
        NetworkSpec("tiny", "double", 1, 16, (8, 16, 32), blocks=1, classes=10, ratio=4, dataset="digits"),
        NetworkSpec("resnet20", "double", 3, 32, (16, 32, 64), blocks=3, classes=10, ratio=4, dataset="cifar10"),
        NetworkSpec("resnet20_w32", "double", 3, 32, (32, 64, 128), blocks=3, classes=10, ratio=4, dataset="cifar10"),
        NetworkSpec("resnet18", "basic", 3, 32, (64, 128, 256, 512), blocks=2, classes=10, ratio=20, dataset="cifar10"),
        NetworkSpec("vgg_small", "vgg", 3, 32, (128, 256, 512), blocks=2, classes=10, ratio=32, dataset="cifar10"),
        _birealnet18("A", 2, "full"),
        _birealnet18("B", 2),
        _birealnet18("C", 4, group_width=16),
        _birealnet18("D", 20),
    )
}


def network_spec(network: str | Path | NetworkSpec) -> NetworkSpec:
    """Return the shape of a network: of a name, of a file NAME.yaml, or the one that is given.

    Raises UnknownNetworkError with the closest names, or NetworkFileError.
    """
    if isinstance(network, NetworkSpec):
        return network
    if str(network).endswith(FILE_ENDINGS):
        return _read(Path(network))
    if spec := NETWORKS.get(str(network)):
        return spec
    close = difflib.get_close_matches(str(network), NETWORKS, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known networks: {', '.join(NETWORKS)}."
    raise UnknownNetworkError(f"unknown network '{network}'; {hint} One of your own is a file NAME.yaml")


def _read(path: Path) -> NetworkSpec:
    """Read a network of one's own: the fields of NetworkSpec but its name, which is the file's.

    `like` names a network of the registry, whose other fields it has. Data are one's own unless it says others.
    """
    with reading("network", path, NetworkFileError) as content:
        if not isinstance(content, dict) or "name" in content:
            raise NetworkFileError(f"{path} is no network: write one 'field: value' a line; its name is the file's")
        try:
            like = network_spec(str(content.pop("like"))) if "like" in content else None
        except UnknownNetworkError as error:
            raise NetworkFileError(f"the network {path} is wrong: like: {error}") from error
        fields = ({} if like is None else vars(like)) | {"dataset": "own"} | content | {"name": path.stem}
        spec = TypeAdapter(NetworkSpec).validate_python(fields)
    if spec.name in NETWORKS:
        raise NetworkFileError(f"{path}: the name {spec.name} is taken; give the file another one")
    return spec
