# SPDX-License-Identifier: Apache-2.0
"""Nodes that compute the same from the same tensors become one."""

from __future__ import annotations

from typing import Any

from qonnx.transformation.base import Transformation


class MergeEqualTruncs(Transformation):
    """Let one Trunc serve the readers of all that round the same tensor in the same way.

    The exporter merges equal pools of a feature map, but not the Truncs after them, which are no ONNX operators;
    FINN takes a pool only where a single Trunc follows.
    """

    def apply(self, model: Any) -> tuple[Any, bool]:
        """Merge all of them; the second result says whether there were any."""
        first: dict[Any, Any] = {}
        changed = False
        for node in list(model.get_nodes_by_op_type("Trunc")):
            kept = first.setdefault(_meaning(model, node), node)
            if kept is node:
                continue
            for reader in model.find_consumers(node.output[0]):
                reader.input[:] = [kept.output[0] if name == node.output[0] else name for name in reader.input]
            model.graph.node.remove(node)
            changed = True
        return model, changed


def _meaning(model: Any, node: Any) -> tuple[Any, ...]:
    """What the node's result depends on."""
    constants = [model.get_initializer(name) for name in node.input]
    inputs = [
        name if value is None else (value.shape, value.tobytes())
        for name, value in zip(node.input, constants, strict=True)
    ]
    return (*inputs, *sorted(attribute.SerializeToString() for attribute in node.attribute))
