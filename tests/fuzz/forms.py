# SPDX-License-Identifier: Apache-2.0
"""What random networks are made of in hardware: each cell, and the forms of it that differ in its RTL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finn.util.basic import getHWCustomOp
from onnx import NodeProto

Form = Callable[[Any], list[str]]
"""From a node's operator to what is particular about the node."""

FOLDS = (1, 2, 4, 8, 16, 32)


def forms(model: Any) -> list[str]:
    """The cells of a specialised model, and the forms of each, sorted and without repetition."""
    found = set()
    for node in model.graph.node:
        found.add(node.op_type)
        found.update(f"{node.op_type}, {form}" for form in _forms(node))
    return sorted(found)


def _forms(node: NodeProto) -> list[str]:
    describe = _DESCRIBE.get(node.op_type)
    return [] if describe is None else describe(getHWCustomOp(node))


def _product(op: Any) -> list[str]:
    neurons, inputs = (
        op.get_nodeattr(whole) // op.get_nodeattr(part) for whole, part in (("MH", "PE"), ("MW", "SIMD"))
    )
    step = max(fold for fold in FOLDS if fold <= neurons)
    folds = f"neuron folds {step}" if step in (1, FOLDS[-1]) else f"neuron folds {step} to {2 * step - 1}"
    return [folds, f"input folds {'1' if inputs == 1 else 'several'}", f"weights {op.get_nodeattr('ram_style')}"]


def _window(op: Any) -> list[str]:
    size = op.get_nodeattr("numInputVectors")
    odd = "odd" if any(side % 2 for side in size[1:]) else "even"
    return [f"stride {op.get_nodeattr('Stride')}", f"{odd} size"]


def _join(op: Any) -> list[str]:
    sign = "with" if len(op.onnx_node.output) == 2 else "without"
    bits = int(op.get_input_datatype(1).bitwidth())
    return [f"{sign} sign", f"residual of {bits} bits", f"{op.get_nodeattr('form')}, {op.get_nodeattr('ram_style')}"]


_DESCRIBE: dict[str, Form] = {
    "XnorMVAU_rtl": _product,
    "TernaryMVAU_rtl": _product,
    "MVAU_rtl": lambda op: _product(op)[:2],
    "BinaryWindow_rtl": _window,
    "ResidualJoin_rtl": _join,
    "ConvolutionInputGenerator_rtl": lambda op: ["parallel" if op.get_nodeattr("parallel_window") else "in turn"],
    "StreamFIFO_rtl": lambda op: [f"in {op.get_nodeattr('ram_style')}"],
}
