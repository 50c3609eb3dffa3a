# SPDX-License-Identifier: Apache-2.0
"""What the flow asks of every kind of node, FINN's own or this project's."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hw.attributes import Attributes
from hw.cppsim.emitter import Emitter, Node
from hw.ops.cost import Cost

__all__ = ["Cost", "Emitter", "Node"]  # what the files of operators need, beside what is defined here

Settings = dict[str, int | str]
"""Attribute -> value."""
Folding = dict[str, int]
"""The attributes that say how many elements a beat has -> value."""
LUTS_OR_BLOCK_RAM: tuple[Settings, ...] = ({"ram_style": "distributed"}, {"ram_style": "block"})


class Operator(Attributes, ABC):
    """One kind of node: how it folds, what it costs, how cppsim computes it, how the report shows it.

    Attributes:
        generic: the types of abstract nodes that mean the same; its own type, with and without "_rtl", is known anyway.
        label: what the report calls such a node.
        role: its colour in the report; what stores is left out of the picture, it stands on nearly every edge.
        divides: pairs of an attribute by which the node is folded, and one, a number or several, that it must divide.
        memories: the settings among which folding chooses where constants and buffers are.
        parameters: the attributes that hold its constants, where no tensor does.
    """

    generic: ClassVar[tuple[str, ...]] = ()
    label: ClassVar[str]
    role: ClassVar[Literal["compute", "quantise", "move", "join", "store"]]
    divides: ClassVar[tuple[tuple[str, str], ...]] = ()
    memories: ClassVar[tuple[Settings, ...]] = ({},)
    parameters: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def cost(self, part: str) -> Cost:
        """Resources of the node with its present attributes on FPGA ``part``."""

    @staticmethod
    @abstractmethod
    def kernel(node: Node, emit: Emitter) -> None:
        """Give ``emit`` the calls that compute ``node``, of this type or of a generic one."""

    def whole(self, attribute: str) -> int:
        """What has to be divided where ``divides`` says ``attribute``: of several numbers all, so their divisor."""
        return math.gcd(*np.atleast_1d(self.get_nodeattr(attribute)).tolist())

    def folds(self) -> list[Folding]:
        """Every folding there is."""
        wholes: dict[str, int] = {}
        for part, attribute in self.divides:
            wholes[part] = math.gcd(wholes.get(part, 0), self.whole(attribute))
        divisors = [[n for n in range(1, whole + 1) if whole % n == 0] for whole in wholes.values()]
        return [dict(zip(wholes, choice, strict=True)) for choice in itertools.product(*divisors)]

    def interleaves(self) -> bool:
        """Whether the order of its output follows its folding, so that the node after it has to be folded alike."""
        return False

    def in_luts(self) -> bool:
        """Whether its RTL is made from its constants, and reads none from a memory."""
        return False

    def on_generic(self, folding: Folding) -> Folding:
        """The attributes of the generic node from which specialisation makes a node of this folding."""
        return folding

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the rest is FINN's


class FinnOperator(Operator):
    """Describes a node for which FINN has RTL: subclasses are called like its operators, ``op`` is one of them."""

    def __init__(self, op: Any) -> None:
        self.op = op

    def __getattr__(self, name: str) -> Any:
        return getattr(self.op, name)


def pass_on(node: Node, emit: Emitter) -> None:
    """The kernel of a node that only hands on what it takes."""
    emit.pass_on(node)
