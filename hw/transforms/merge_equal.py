# SPDX-License-Identifier: Apache-2.0
"""Nodes that compute the same from the same tensors become one."""

from __future__ import annotations

from typing import Any

from hw.transforms.rewriting import Rewriting


class MergeEqualTruncs(Rewriting):
    """Let one Trunc, the first, serve the readers of all that round the same tensor in the same way.

    The exporter merges equal pools of a feature map, but not the Truncs after them, which are no ONNX operators;
    FINN takes a pool only where a single Trunc follows.
    """

    at = ("Trunc",)

    def rewrite(self, model: Any, node: Any) -> bool:
        """Let the first Trunc of its kind serve a node's readers."""
        truncs = model.get_nodes_by_op_type("Trunc")
        kept = next(other for other in truncs if _meaning(model, other) == _meaning(model, node))
        if kept.output[0] == node.output[0]:
            return False
        for reader in model.find_consumers(node.output[0]):
            reader.input[:] = [kept.output[0] if name == node.output[0] else name for name in reader.input]
        model.graph.node.remove(node)
        return True


def _meaning(model: Any, node: Any) -> tuple[Any, ...]:
    """What the node's result depends on."""
    constants = [model.get_initializer(name) for name in node.input]
    inputs = [
        name if value is None else (value.shape, value.tobytes())
        for name, value in zip(node.input, constants, strict=True)
    ]
    return (*inputs, *sorted(attribute.SerializeToString() for attribute in node.attribute))
