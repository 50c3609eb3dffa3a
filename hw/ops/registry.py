# SPDX-License-Identifier: Apache-2.0
"""All kinds of nodes that the flow knows: what the files of hw/ops and hw/ops/finn define."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from finn.custom_op.fpgadataflow import rtl
from onnx import NodeProto

from hw.errors import UnsupportedNodeError
from hw.ops.cell_op import CellOp
from hw.ops.operator import FinnOperator, Operator


def _defined_in(package: str) -> list[type[Any]]:
    modules = [import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(import_module(package).__path__)]
    classes = [(module, cls) for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)]
    return [cls for module, cls in classes if cls.__module__ == module.__name__]


@cache
def own_operators() -> tuple[type[CellOp], ...]:
    """This project's operators: the CellOps whose names end in "_rtl", as FINN calls what it has RTL for."""
    return tuple(cls for cls in _defined_in("hw.ops") if issubclass(cls, CellOp) and cls.__name__.endswith("_rtl"))


@cache
def kinds() -> dict[str, type[Operator]]:
    """What is known of each type of node, abstract or RTL."""
    own = own_operators()
    generic: dict[str, type[Operator]] = {name: cls for cls in own for name in cls.generic}
    finns = {cls.__name__ + suffix: cls for cls in _defined_in("hw.ops.finn") for suffix in ("", "_rtl")}
    return generic | finns | {cls.__name__: cls for cls in own}


def kind_of(node: NodeProto) -> type[Operator]:
    """What the flow knows of nodes like this one.

    Raises:
        UnsupportedNodeError: nothing is known; the message names the node and says what to do.
    """
    if node.op_type not in kinds():
        hint = "convert the graph to hardware nodes first, or add the operator (CONTRIBUTING.md)"
        raise UnsupportedNodeError(node.name or node.op_type, f"no file of hw/ops describes {node.op_type}; {hint}")
    return kinds()[node.op_type]


def describe(op: Any) -> Operator:
    """FINN's instance ``op`` of an RTL operator as what the flow knows of it; one of ours is that itself."""
    kind = kind_of(op.onnx_node)
    return kind(op) if issubclass(kind, FinnOperator) else op


def register() -> None:
    """Put this project's operators into FINN's RTL domain; a second call changes nothing.

    Only names that FINN does not have are added, so FINN's own operators stay what they are. From then on
    graphs with these operators can be loaded and executed.
    """
    for operator in own_operators():
        if rtl.custom_op.get(operator.__name__) is not operator:
            rtl.register_custom_op(operator)
