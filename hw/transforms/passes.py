# SPDX-License-Identifier: Apache-2.0
"""Applying transformations in groups, in place, with one tidy-up a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation import general
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes

MAX_ROUNDS = 50
"""More rounds than any network needs; two transformations that undo each other would loop for ever."""


class InPlaceModel(ModelWrapper):
    """A graph on which transformations work in place, also those that other transformations call.

    ``ModelWrapper.transform`` copies and tidies the model after every single transformation, and most
    transformations of FINN infer all shapes and types anew even where they changed nothing. On a graph of some
    hundred nodes that is minutes. Here nothing is copied or tidied (see ``tidy``), and a transformation that asks
    for an inference gets it where it is needed: shapes where one is missing, types where the graph has changed since
    the last time, or not at all with ``defer_types``.
    """

    def __init__(self, proto: Any, *, defer_types: bool = False) -> None:
        super().__init__(proto, fix_missing_initializer_valueinfo=False)
        self._defer_types = defer_types
        self._typed: int | None = None

    def transform(self, transformation: Any, *args: Any, **kwargs: Any) -> InPlaceModel:
        """What other transformations call; the options of ModelWrapper are ignored."""
        if isinstance(transformation, InferDataTypes) and (self._defer_types or self._typed == self._state()):
            return self
        if isinstance(transformation, InferShapes) and self._all_shapes_known():
            return self
        return self.run(transformation)

    def run(self, transformation: Any) -> InPlaceModel:
        """Apply ``transformation`` until it reports no change."""
        if isinstance(transformation, InferShapes | InferDataTypes):
            # They walk the nodes in their order; some transformations append where they should insert.
            general.SortGraph().apply(self)
        layers = {name: node.doc_string for node in self.graph.node for name in node.output}
        model = super().transform(transformation, make_deepcopy=False, cleanup=False)
        _name_layers(model, layers)
        if not isinstance(model, InPlaceModel):  # InferShapes makes a new wrapper
            model = InPlaceModel(model.model, defer_types=self._defer_types)
        if isinstance(transformation, InferDataTypes):
            model._typed = model._state()
        return model

    def _state(self) -> int:
        parts = (*self.graph.node, *self.graph.value_info, *self.graph.quantization_annotation)
        return hash(b"".join(part.SerializeToString() for part in parts))

    def _all_shapes_known(self) -> bool:
        infos = (*self.graph.input, *self.graph.output, *self.graph.value_info)
        known = {info.name for info in infos if info.type.tensor_type.HasField("shape")}
        return all(name in known for node in self.graph.node for name in node.output)


def _name_layers(model: Any, before: dict[str, str]) -> None:
    """Let new nodes say in doc_string which layer of the network they are of, as the exported ones do.

    That is the layer that wrote their tensor before, or else the one that reads it.
    """
    reader: dict[str, str] = {}
    for node in reversed(model.graph.node):
        if not node.doc_string:
            known = (before.get(name) or reader.get(name) for name in node.output)
            node.doc_string = next(filter(None, known), "")
        reader.update(dict.fromkeys(node.input, node.doc_string))


def apply(model: Any, *transformations: Any, defer_types: bool = False) -> Any:
    """Apply each transformation in turn, in place and without tidying up.

    Args:
        model: the graph (ModelWrapper), which changes.
        transformations: instances.
        defer_types: infer types once, at the end. For transformations that rewire and do not ask for types.

    Returns:
        A ModelWrapper of the changed graph.
    """
    quick = InPlaceModel(model.model, defer_types=defer_types)
    for transformation in transformations:
        quick = quick.run(transformation)
    if defer_types:
        quick = quick.run(InferDataTypes())
    return ModelWrapper(quick.model)


def apply_until_stable(model: Any, group: Sequence[Callable[[], Any]]) -> Any:
    """Apply the transformations of ``group`` round after round until a round leaves the graph's wiring as it was.

    Types are inferred once a round.

    Args:
        model: the graph (ModelWrapper), which changes.
        group: classes, or functions without arguments, that make the transformations.

    Returns:
        A ModelWrapper of the changed graph.

    Raises:
        RuntimeError: the graph still changes after MAX_ROUNDS rounds.
    """
    for _ in range(MAX_ROUNDS):
        before = _wiring(model)
        model = apply(model, *(make() for make in group), defer_types=True)
        if _wiring(model) == before:
            return model
    raise RuntimeError(f"the graph does not settle within {MAX_ROUNDS} rounds")


def tidy(model: Any) -> Any:
    """Sort the nodes, infer shapes, types and layouts anew, and give names that depend on the graph alone."""
    return apply(
        model,
        general.RemoveUnusedTensors(),
        general.RemoveStaticGraphInputs(),
        general.SortGraph(),
        general.GiveUniqueParameterTensors(),
        InferShapes(),
        InferDataTypes(),
        InferDataLayouts(),
        general.GiveUniqueNodeNames(),
        general.GiveReadableTensorNames(),
    )


def _wiring(model: Any) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node]
