# SPDX-License-Identifier: Apache-2.0
"""The registry of networks: what each of them is called, and its shape."""

import difflib
from dataclasses import dataclass
from typing import Literal

from model.errors import UnknownNetworkError

Family = Literal["double", "basic", "bireal", "vgg"]
Recovery = Literal["compact", "full", "none"]


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a network: `blocks` blocks in each stage of `widths` channels.

    Every stage but the first halves the picture. `recovery` is what the paper uses for it, with `ratio` and
    `group_width` those of compact recovery (see CompactRecovery).
    """

    name: str
    family: Family
    channels: int
    size: int
    widths: tuple[int, ...]
    blocks: int
    classes: int
    ratio: int
    dataset: str
    recovery: Recovery = "compact"
    group_width: int = 1

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.size, self.size


def _birealnet18(variant: str, ratio: int, recovery: Recovery = "compact", group_width: int = 1) -> NetworkSpec:
    return NetworkSpec(
        f"birealnet18_{variant}", "bireal", 3, 224, (64, 128, 256, 512), blocks=4, classes=1000, ratio=ratio,
        dataset="imagenet", recovery=recovery, group_width=group_width,
    )  # fmt: skip


NETWORKS = {
    spec.name: spec
    for spec in (
        NetworkSpec("tiny", "double", 1, 16, (8, 16, 32), blocks=1, classes=10, ratio=4, dataset="digits"),
        NetworkSpec("resnet20", "double", 3, 32, (16, 32, 64), blocks=3, classes=10, ratio=4, dataset="cifar10"),
        NetworkSpec("resnet18", "basic", 3, 32, (64, 128, 256, 512), blocks=2, classes=10, ratio=20, dataset="cifar10"),
        NetworkSpec("vgg_small", "vgg", 3, 32, (128, 256, 512), blocks=2, classes=10, ratio=32, dataset="cifar10"),
        _birealnet18("A", 2, "full"),
        _birealnet18("B", 2),
        _birealnet18("C", 4, group_width=16),
        _birealnet18("D", 20),
    )
}


def network_spec(name: str) -> NetworkSpec:
    """Return the network's shape; raises UnknownNetworkError with the closest names."""
    if spec := NETWORKS.get(name):
        return spec
    close = difflib.get_close_matches(name, NETWORKS, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known networks: {', '.join(NETWORKS)}"
    raise UnknownNetworkError(f"unknown network '{name}'; {hint}")
