# SPDX-License-Identifier: Apache-2.0
"""Collects what a program consists of: buffers, calls and constants; and lays buffers out in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.util.basic import getHWCustomOp

from hw.attributes import Attributes
from hw.cppsim.interface import integer_type
from hw.streams.packing import DataType

ALIGNMENT = 64
"""Of buffers and constants, in bytes: a cache line, and the widest vector register."""


class Node(Attributes):
    """A node of the graph as kernels see it: attributes, shapes, datatypes and constants, all checked."""

    def __init__(self, model: Any, node: Any, outside: str = "") -> None:
        self.name: str = node.name or node.op_type
        self.op_type: str = node.op_type
        self.inputs: list[str] = [name for name in node.input if model.get_initializer(name) is None]
        self.outputs: list[str] = list(node.output)
        producer = model.find_producer(node.input[0])
        self.producer: str = outside if producer is None else producer.op_type
        self._model, self.onnx_node = model, node
        self.operator = getHWCustomOp(node)
        self.get_nodeattr = self.operator.get_nodeattr

    def input_type(self, index: int) -> DataType:
        """Datatype of a streamed input."""
        return self._type("input", index)

    def output_type(self, index: int) -> DataType:
        """Datatype of an output."""
        return self._type("output", index)

    def _type(self, side: str, index: int) -> DataType:
        try:
            return integer_type(getattr(self.operator, f"get_{side}_datatype")(index).name)
        except (AssertionError, ValueError) as error:  # FINN asserts
            raise self.refuse(f"{side} {index}: {error}", "convert the graph first") from error

    def input_shape(self, index: int) -> tuple[int, ...]:
        """Shape of a streamed input; the last extent are the channels."""
        return tuple(int(extent) for extent in self.operator.get_normal_input_shape(index))

    def output_shape(self, index: int) -> tuple[int, ...]:
        """Shape of an output; the last extent are the channels."""
        return tuple(int(extent) for extent in self.operator.get_normal_output_shape(index))

    def pixels(self) -> int:
        """Vectors of its first input: the product of all extents but the channels."""
        return math.prod(self.input_shape(0)[:-1])

    def sum_bits(self, *accumulators: str) -> int:
        """Bits that the hardware keeps of a sum: as many as the output has, and the attributes that name types."""
        kinds = [self.output_type(0), *(integer_type(self.text(name)) for name in accumulators)]
        for kind in kinds:
            if kind.name in ("BIPOLAR", "TERNARY"):
                raise self.refuse(f"a sum is {kind.name}", "it must be an integer type")
        return min(kind.bits for kind in kinds)

    def constant(self, attribute: str = "weightDataType") -> npt.NDArray[np.int64]:
        """Input 1, whose values must be constant, and integers of the datatype that ``attribute`` names."""
        names = self.onnx_node.input
        values = self._model.get_initializer(names[1]) if len(names) > 1 else None
        if values is None:
            raise self.refuse("its weights or thresholds are not constant", "only constants in ROM can be compiled")
        whole: npt.NDArray[np.int64] = np.rint(values).astype(np.int64)
        if not np.array_equal(whole, values):
            raise self.refuse("has weights or thresholds that are no integers", "convert the graph first")
        # Products by 0 and 1 are called BINARY, and selections by FINN likewise.
        kind = integer_type(self.text(attribute))
        if whole.size and (whole.min() < kind.low or whole.max() > kind.high):
            raise self.refuse(f"has weights or thresholds {whole.min()} .. {whole.max()} outside {kind.name}")
        return whole


@dataclass
class Buffer:
    """A tensor in the workspace, from the call that writes it to the last that reads it.

    Attributes:
        pixels, channels, type: what the tensor is; a BINARY one can be packed into words.
        born, dies: numbers of the first and the last call with it.
        ready: number of the call after which it is there, None before its node is through.
        offset: where it lies.
        plain: of a packed one the same tensor with one element a value, where a kernel needs that.
    """

    pixels: int
    channels: int
    type: DataType
    packed: bool
    born: int = 0
    dies: int = 0
    ready: int | None = None
    offset: int = 0
    plain: Buffer | None = None

    @property
    def bytes(self) -> int:
        """Its size."""
        if self.packed:
            return self.pixels * -(-self.channels // 64) * 8
        return self.pixels * self.channels * self.type.dtype.itemsize

    def unpacked(self) -> Buffer:
        """A buffer for the same tensor with one element a value."""
        return Buffer(self.pixels, self.channels, self.type, packed=False)

    def __str__(self) -> str:
        """The C++ expression of its address."""
        return f"at<{'Word' if self.packed else ctype(self.type.dtype)}>(m, {self.offset})"


@dataclass(frozen=True)
class Call:
    """One call of a kernel on buffers and on constants, which are the C++ expressions of their addresses."""

    node: str
    kernel: str
    parameters: tuple[Any, ...]
    arguments: tuple[Buffer | str, ...]

    def __str__(self) -> str:
        """The C++ statement."""
        return f"{self.kernel}<{', '.join(map(str, self.parameters))}>({', '.join(map(str, self.arguments))});"


def ctype(dtype: np.dtype[Any]) -> str:
    """The C++ type of an array's elements; words of 64 bits hold packed ones."""
    return "Word" if dtype == np.uint64 else f"std::{dtype.name}_t"


@dataclass
class Emitter:
    """What kernels put their calls into; buffers are known by the names of the graph's tensors."""

    calls: list[Call] = field(default_factory=list)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    constants: bytearray = field(default_factory=bytearray)
    flattened: list[Buffer] = field(default_factory=list)

    def add(self, name: str, shape: tuple[int, ...], kind: DataType) -> Buffer:
        """Make room for a tensor."""
        self.buffers[name] = Buffer(math.prod(shape[:-1]), shape[-1], kind, packed=kind.name == "BINARY")
        return self.buffers[name]

    def read(self, node: Node) -> Buffer:
        """The buffer of a node's first input as it is; of a picture's bits that are read as a vector, packed anew."""
        source, (*pixels, channels) = self.buffers[node.inputs[0]], node.input_shape(0)
        if not source.packed or source.channels == channels:
            return source
        flat = Buffer(math.prod(pixels), channels, source.type, packed=True)
        self.flattened.append(flat)
        self.call(node, "pack", [flat.pixels, channels], self.read_plain(node, 0), flat)
        return flat

    def read_plain(self, node: Node, index: int) -> Buffer:
        """The buffer of a node's input with one element a value; a packed one is unpacked once."""
        source = self.buffers[node.inputs[index]]
        if not source.packed:
            return source
        if source.plain is None:
            source.plain = source.unpacked()
            self.call(node, "unpack", [source.pixels, source.channels], source, source.plain)
        return source.plain

    def write(self, node: Node, index: int = 0) -> Buffer:
        """A new buffer for a node's output."""
        return self.add(node.outputs[index], node.output_shape(index), node.output_type(index))

    def write_plain(self, node: Node, index: int = 0) -> Buffer:
        """A new buffer for a node's output with one element a value; a BINARY one is packed afterwards."""
        target = self.write(node, index)
        if not target.packed:
            return target
        target.plain = target.unpacked()
        return target.plain

    def pass_on(self, node: Node) -> None:
        """Let every output be the node's input."""
        for name in node.outputs:
            self.buffers[name] = self.buffers[node.inputs[0]]

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Store an array in the file of constants; the C++ expression of its address."""
        offset = len(self.constants)
        self.constants += values.tobytes()
        self.constants += bytes(-len(self.constants) % ALIGNMENT)
        return f"at<{ctype(values.dtype)}>(k, {offset})"

    def call(self, node: Node, kernel: str, parameters: list[Any], *arguments: Buffer | str) -> None:
        """Add a call; its last argument is what it writes."""
        self.calls.append(Call(node.name, kernel, tuple(parameters), arguments))
        number = len(self.calls)
        for argument in arguments:
            if isinstance(argument, Buffer):
                argument.born = argument.born or number
                argument.dies = number

    def compute(self, node: Node, kernel: str, parameters: list[Any], *constants: npt.NDArray[Any]) -> None:
        """Add the call of a kernel from all inputs and then ``constants`` to output 0, all with one element a value."""
        inputs = [self.read_plain(node, index) for index in range(len(node.inputs))]
        self.call(node, kernel, parameters, *inputs, *map(self.constant, constants), self.write_plain(node))

    def finish(self, node: Node) -> None:
        """After a node's calls: pack its BINARY outputs, and note that its outputs are there."""
        for name in node.outputs:
            target = self.buffers[name]
            if target.ready is None:
                if target.plain is not None:
                    self.call(node, "pack", [target.pixels, target.channels], target.plain, target)
                target.ready = len(self.calls)

    def lay_out(self, inputs: list[str], outputs: list[str]) -> int:
        """Give every buffer its place, as low as those that live at the same time leave; returns the bytes.

        The copy of a tensor for a trace is taken right after its call, so nothing is kept longer than its readers.
        """
        for name in inputs:
            self.buffers[name].born = 0
        for name in outputs:
            self.buffers[name].dies = len(self.calls)
        tensors = self.buffers.values()
        plain = [packed.plain for packed in tensors if packed.plain is not None]
        unique = {id(buffer): buffer for buffer in [*tensors, *plain, *self.flattened]}
        placed: list[Buffer] = []
        for buffer in sorted(unique.values(), key=lambda b: (-b.bytes, b.born)):
            others = [other for other in placed if other.born <= buffer.dies and buffer.born <= other.dies]
            for other in sorted(others, key=attrgetter("offset")):
                if buffer.offset + buffer.bytes <= other.offset:
                    break
                buffer.offset = max(buffer.offset, _aligned(other.offset + other.bytes))
            placed.append(buffer)
        return max((_aligned(buffer.offset + buffer.bytes) for buffer in placed), default=0)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
