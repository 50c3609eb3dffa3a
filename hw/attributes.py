# SPDX-License-Identifier: Apache-2.0
"""Typed access to the attributes of FINN's operators, of which it knows no types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import NodeProto

from hw.errors import UnsupportedNodeError


class Attributes:
    """Mixin: what is read through ``get_nodeattr``, a method of FINN's operators."""

    onnx_node: NodeProto
    get_nodeattr: Callable[[str], Any]

    def number(self, attribute: str) -> int:
        """An integer attribute."""
        return int(self.get_nodeattr(attribute))

    def numbers(self, attribute: str) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(value) for value in self.get_nodeattr(attribute)]

    def text(self, attribute: str) -> str:
        """A string attribute."""
        return str(self.get_nodeattr(attribute))

    def refuse(self, problem: str, hint: str = "") -> UnsupportedNodeError:
        """The error to raise when this node cannot be built or computed."""
        return UnsupportedNodeError(self.onnx_node.name or self.onnx_node.op_type, problem, hint)
