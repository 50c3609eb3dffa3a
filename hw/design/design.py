# SPDX-License-Identifier: Apache-2.0
"""A dataflow design: what lies in its folder, and what is known about it.

design.json            everything below
rtl/                   every source, and the top module; the folder in which tools work
rtl/rom/               memories, which sources name as ./rom/FILE
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from hw.design.errors import DesignError
from hw.rtl import packages_first
from hw.streams.packing import DataType, pack, unpack
from hw.streams.sim import Beats

FILE = "design.json"
FORMAT = 1
TOP_MODULE = "finn_design_wrapper"
FIFO = "StreamFIFO_rtl"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class End(_Record):
    """One end of an edge.

    Attributes:
        node: name of the node.
        interface: the node's name of it, e.g. "in0_V".
        datatype: of an element, in QONNX's words.
        folded_shape: of one frame as it travels, the elements of a beat last.
        shape: of one frame in the graph.
        width: bits of a beat, padded to bytes.
    """

    node: str
    interface: str
    datatype: str
    folded_shape: tuple[int, ...]
    shape: tuple[int, ...]
    width: int = Field(gt=0, multiple_of=8)

    @property
    def beats(self) -> int:
        """Beats of one frame."""
        return int(np.prod(self.folded_shape[:-1]))

    @property
    def bits(self) -> int:
        """Bits of a beat that carry elements."""
        return self.folded_shape[-1] * DataType.of(self.datatype).bits

    def pack(self, frames: npt.ArrayLike) -> Beats:
        """Return the beats (beats, bytes) of frames; raises PackingError for values that the type does not hold."""
        return pack(np.asarray(frames).reshape(-1, self.folded_shape[-1]), DataType.of(self.datatype), self.width // 8)

    def unpack(self, beats: Beats) -> npt.NDArray[np.int64]:
        """Return the frames (frames, ...) of beats, each in the shape of the graph without its leading 1."""
        values = unpack(beats, DataType.of(self.datatype), self.folded_shape[-1])
        return values.astype(np.int64).reshape(-1, *self.shape[1:])


class Edge(_Record):
    """A tensor that travels as a stream; `source` or `sink` is None at the border of the design."""

    tensor: str
    source: End | None
    sink: End | None

    @property
    def stream(self) -> End:
        """The end that says how the tensor is folded."""
        end = self.source or self.sink
        if end is None:
            raise DesignError(f"tensor {self.tensor} belongs to no node")
        return end

    def __str__(self) -> str:
        ends = (end.node if end else "outside" for end in (self.source, self.sink))
        return f"{self.tensor} ({' -> '.join(ends)})"


class DesignNode(_Record):
    """A node: its operator, the layer of the network that it belongs to, and the module that it is an instance of.

    `cycles` are those that its operator expects of a frame, 0 where it has no formula; `folding` has PE, SIMD, and the
    depth of a FIFO. Streams are named by their tensors.
    """

    name: str
    op: str
    layer: str
    module: str
    cycles: int
    folding: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Design(_Record):
    """A design in a folder.

    Attributes:
        folder: where it lies.
        top: name of the top module.
        part: the FPGA it is made for.
        clock_ns: clock period in nanoseconds.
        nodes: each after those that feed it.
        edges: inputs first, outputs last, each in the order of the graph's.
        modules: files in rtl/ of each module that nodes are instances of.
    """

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    folder: Path = Field(exclude=True)
    top: str
    part: str
    clock_ns: float = Field(gt=0)
    nodes: tuple[DesignNode, ...]
    edges: tuple[Edge, ...]
    modules: Mapping[str, tuple[str, ...]]

    @property
    def rtl(self) -> Path:
        """Folder of the sources, in which simulators and synthesis have to work."""
        return self.folder / "rtl"

    @property
    def inputs(self) -> tuple[Edge, ...]:
        """Edge of each input stream ``s_axis_<i>``."""
        return tuple(edge for edge in self.edges if edge.source is None)

    @property
    def outputs(self) -> tuple[Edge, ...]:
        """Edge of each output stream ``m_axis_<i>``."""
        return tuple(edge for edge in self.edges if edge.sink is None)

    @property
    def inner(self) -> tuple[Edge, ...]:
        """Edges between two nodes."""
        return tuple(edge for edge in self.edges if edge.source and edge.sink)

    @property
    def fifos(self) -> tuple[DesignNode, ...]:
        """The nodes that are FIFOs."""
        return tuple(node for node in self.nodes if node.op == FIFO)

    def sources(self, module: str | None = None) -> list[Path]:
        """Return the files of a module, or of all of them, in the order in which tools have to read them."""
        names = self.modules[module] if module else [name for files in self.modules.values() for name in files]
        return packages_first(self.rtl / name for name in names)

    def node(self, name: str) -> DesignNode:
        """Return the node of a name."""
        return next(node for node in self.nodes if node.name == name)

    def ends(self, node: str) -> tuple[list[tuple[str, End]], list[tuple[str, End]]]:
        """Return (tensor, end) of each stream into and out of a node, in the order of its interfaces."""
        sinks = [(edge.tensor, edge.sink) for edge in self.edges if edge.sink and edge.sink.node == node]
        sources = [(edge.tensor, edge.source) for edge in self.edges if edge.source and edge.source.node == node]
        return sorted(sinks, key=lambda end: end[1].interface), sorted(sources, key=lambda end: end[1].interface)

    def written(self) -> Iterator[tuple[str, str, str]]:
        """Yield (tensor, node, operator) of every tensor, in the order in which nodes read each other's."""
        yield from ((edge.tensor, "", "") for edge in self.inputs)
        yield from ((tensor, node.name, node.op) for node in self.nodes for tensor in node.outputs)

    def fifo_bits(self) -> int:
        """Return the bits that the FIFOs hold, without the padding of their beats to bytes."""
        bits = {edge.sink.node: edge.sink.bits for edge in self.edges if edge.sink}
        return sum(fifo.folding["depth"] * bits[fifo.name] for fifo in self.fifos)

    def save(self) -> None:
        """Write design.json."""
        (self.folder / FILE).write_text(self.model_dump_json(indent=1) + "\n")

    @staticmethod
    def load(folder: Path) -> Design:
        """Read a design; raises DesignError where the folder holds none of this format."""
        try:
            content: dict[str, Any] = json.loads((folder / FILE).read_text())
            return Design(**content, folder=folder.resolve())
        except (OSError, ValueError, TypeError) as error:
            raise DesignError(f"{folder} holds no design of format {FORMAT}; build again") from error
