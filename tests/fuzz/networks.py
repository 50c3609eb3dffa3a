# SPDX-License-Identifier: Apache-2.0
"""Random networks: what is drawn, and the trained-looking network that a drawn case stands for."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.networks import Family, Network, NetworkSpec, Recovery, create_network
from model.networks.adjust import calibrate
from model.networks.quantizers import Formats, IntegerFormat
from model.networks.ties import separate_ties
from model.random_weights import randomise_norms

Fifos = Literal["joins", "everywhere", "sized"]
FIFOS: tuple[Fifos, ...] = ("joins", "everywhere", "joins", "everywhere", "joins", "everywhere", "sized")
"""Sizing takes several compilations, so it is drawn less often."""
FAMILIES: tuple[Family, ...] = ("double", "basic", "vgg", "bireal")
WIDE = (64, 96)
"""Channels of the last stage of every fifth network; its pictures are small, or it would take minutes."""


@dataclass(frozen=True)
class Case:
    """A network, how it is folded and how it is simulated.

    `target` is the logarithm of the cycles a frame may take; `forced` seeds foldings that are forced on some nodes
    (0: none); `stall` the probability of a stall in tenths. FIFOs are found by simulation ("sized"), or of a frame in
    front of joins, or of any depth everywhere.
    """

    family: Family
    channels: int
    size: int
    widths: tuple[int, ...]
    blocks: int
    classes: int
    recovery: Recovery
    ratio: int
    group_width: int
    residual_bits: int
    residual_shift: int
    branch_bits: int
    stem_bits: int
    fusion_bits: int
    linear_bits: int
    head_bits: int
    label_select: bool
    target: int
    forced: int
    fifos: Fifos
    stall: int
    seed: int

    @property
    def key(self) -> str:
        """The case as one line of JSON, by which it is known and stored."""
        return json.dumps(asdict(self))

    @classmethod
    def from_key(cls, key: str) -> Case:
        """The inverse of `key`."""
        fields: dict[str, Any] = json.loads(key)
        return cls(**{**fields, "widths": tuple(fields["widths"])})

    @property
    def kinds(self) -> list[str]:
        """What is special about the case, for counting."""
        return [
            f"family {self.family}",
            f"recovery {self.recovery}",
            f"stages {len(self.widths)}",
            f"blocks {self.blocks}",
            f"residual {self.residual_bits} bits",
            f"channels {'64 or more' if max(self.widths) >= WIDE[0] else 'fewer than 64'}",
            f"FIFOs {self.fifos}",
            f"stalls {'random' if self.stall else 'none'}",
            f"output {'label' if self.label_select else 'logits'}",
            f"size {'a power of two' if self.size & (self.size - 1) == 0 else 'no power of two'}",
            f"folding {'forced' if self.forced else 'chosen'}",
        ]

    def network(self) -> Network:
        """The network with random weights, batch norms of both signs and calibrated statistics."""
        spec = NetworkSpec(
            "random", self.family, self.channels, self.size, self.widths, self.blocks, self.classes, self.ratio,
            dataset="random", recovery=self.recovery, group_width=self.group_width,
        )  # fmt: skip
        network = create_network(spec, formats=self._formats(), seed=self.seed)
        randomise_norms(network, self.seed, bias=0.2)
        calibrate(network, torch.from_numpy(self.images(16)))
        separate_ties(network)
        return network

    def images(self, count: int) -> NDArray[np.uint8]:
        """Random images, one of them black and one white."""
        random = np.random.default_rng(self.seed)
        images = random.integers(0, 256, (count, self.channels, self.size, self.size), dtype=np.uint8)
        images[1 % count], images[2 % count] = 0, 255
        return images

    def _formats(self) -> Formats:
        scale = 2.0**-self.residual_shift

        def weight(bits: int) -> IntegerFormat:
            return IntegerFormat(bits, 2.0 ** (1 - bits), narrow=True)

        return Formats(
            residual=IntegerFormat(self.residual_bits, scale),
            branch=IntegerFormat(self.branch_bits, scale),
            stem_weight=weight(self.stem_bits),
            shortcut_weight=weight(self.fusion_bits),
            fusion_weight=weight(self.fusion_bits),
            linear_weight=weight(self.linear_bits),
            head=IntegerFormat(self.head_bits, 2.0 ** (3 - self.head_bits)),
        )


@st.composite
def cases(draw: st.DrawFn, *, small: bool = False) -> Case:
    """Cases that every rule of the networks allows; small ones take a few seconds each."""
    family = draw(st.sampled_from(FAMILIES))
    widths = _widths(draw, family, 1 if small and family != "vgg" else 2 if small else 3, 6 if small else 12)
    wide = not small and draw(st.integers(1, 5)) == 5
    if wide:
        widths = (*widths[:-1], draw(st.integers(*WIDE)))
    recovery: Recovery = draw(st.sampled_from(["none", "compact", "full"]))
    ratio = draw(st.integers(2, min(5, widths[-1])))
    primary = math.ceil(widths[-1] / ratio)
    residual_bits = draw(st.integers(2, 8))
    return Case(
        family=family,
        channels=draw(st.integers(1, 3)),
        size=_unit(family, len(widths)) * draw(st.integers(2, 4 if small or wide else 7)),
        widths=widths,
        blocks=draw(st.integers(2 if family == "vgg" else 1, 2)),
        classes=draw(st.integers(2, 12)),
        recovery=recovery,
        ratio=ratio,
        group_width=draw(st.sampled_from([d for d in range(1, primary + 1) if primary % d == 0])),
        residual_bits=residual_bits,
        residual_shift=draw(st.integers(1, 5)),
        branch_bits=residual_bits + draw(st.integers(0, 2)),
        stem_bits=draw(st.integers(3, 8)),
        fusion_bits=draw(st.integers(2, 6)),
        linear_bits=draw(st.integers(3, 8)),
        head_bits=draw(st.integers(3, 8)),
        label_select=draw(st.booleans()),
        target=draw(st.integers(5, 15)),
        forced=draw(st.integers(0, 3)),
        fifos=draw(st.sampled_from(FIFOS[: 2 if small else None])),
        stall=draw(st.integers(0, 8)),
        seed=draw(st.integers(0, 999)),
    )


def _widths(draw: st.DrawFn, family: Family, stages: int, widest: int) -> tuple[int, ...]:
    widths = [draw(st.integers(2, widest)) for _ in range(draw(st.sampled_from([1, 1, 2, 2, 3])) if stages > 1 else 1)]
    # A shortcut without weights can add channels, but not take any away.
    return tuple(sorted(widths)) if family == "double" else tuple(widths)


def _unit(family: Family, stages: int) -> int:
    """What an image's size has to be a multiple of: every halving has to come out even."""
    return {"double": 1, "basic": 1, "bireal": 4, "vgg": 2}[family] * 2 ** (stages - 1)
