# SPDX-License-Identifier: Apache-2.0
"""Collects what a program consists of: buffers, calls and constants; and lays buffers out in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.util.basic import getHWCustomOp

from hw.attributes import Attributes
from hw.cppsim.errors import UnsupportedOperatorError
from hw.cppsim.interface import Type

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
        self._model, self._node = model, node
        self.operator = getHWCustomOp(node)
        self.get_nodeattr = self.operator.get_nodeattr

    def refuse(self, problem: str, hint: str = "") -> UnsupportedOperatorError:
        """The error to raise when this node cannot be computed."""
        return UnsupportedOperatorError(self.name, problem, hint)

    def input_type(self, index: int) -> str:
        """Datatype of a streamed input."""
        return self._type(f"input {index}", lambda: self.operator.get_input_datatype(index))

    def output_type(self, index: int) -> str:
        """Datatype of an output."""
        return self._type(f"output {index}", lambda: self.operator.get_output_datatype(index))

    def _type(self, stream: str, datatype: Callable[[], Any]) -> str:
        try:
            name = str(datatype().name)
            Type.of(name)
        except (AssertionError, ValueError) as error:  # FINN asserts
            raise self.refuse(f"{stream}: {error}", "convert the graph first") from error
        return name

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
        datatypes = [self.output_type(0), *map(self.text, accumulators)]
        for datatype in datatypes:
            if datatype in ("BIPOLAR", "TERNARY"):
                raise self.refuse(f"a sum is {datatype}", "it must be an integer type")
        return min(Type.of(datatype).bits for datatype in datatypes)

    def constant(self, index: int, attribute: str = "weightDataType") -> npt.NDArray[np.int64]:
        """A constant input, whose values must be integers of the datatype that ``attribute`` names."""
        values = self._model.get_initializer(self._node.input[index]) if len(self._node.input) > index else None
        if values is None:
            raise self.refuse("its weights or thresholds are not constant", "only constants in ROM can be compiled")
        whole: npt.NDArray[np.int64] = np.rint(values).astype(np.int64)
        if not np.array_equal(whole, values):
            raise self.refuse("has weights or thresholds that are no integers", "convert the graph first")
        name = self.text(attribute)
        # Products by 0 and 1 are called BINARY, and selections by FINN likewise.
        kind = Type.of(name)
        if whole.size and (whole.min() < kind.lowest or whole.max() > kind.highest):
            raise self.refuse(f"has weights or thresholds {whole.min()} .. {whole.max()} outside {name}")
        return whole


@dataclass
class Buffer:
    """A tensor in the workspace, from the call that writes it to the last that reads it."""

    pixels: int
    channels: int
    type: Type
    packed: bool
    born: int = 0
    dies: int = 0
    offset: int = 0

    @property
    def ctype(self) -> str:
        """C++ type of its elements, or of its words."""
        return "Word" if self.packed else self.type.ctype

    @property
    def bytes(self) -> int:
        """Its size."""
        if self.packed:
            return self.pixels * -(-self.channels // 64) * 8
        return self.pixels * self.channels * np.dtype(self.type.dtype).itemsize

    def render(self) -> str:
        """The C++ expression of its address."""
        return f"at<{self.ctype}>(m, {self.offset})"


@dataclass(frozen=True)
class Constant:
    """An array in the file of constants."""

    ctype: str
    offset: int

    def render(self) -> str:
        """The C++ expression of its address."""
        return f"at<{self.ctype}>(k, {self.offset})"


@dataclass(frozen=True)
class Call:
    """One call of a kernel."""

    node: str
    kernel: str
    parameters: tuple[str, ...]
    arguments: tuple[Buffer | Constant, ...]

    def render(self) -> str:
        """The C++ statement."""
        return f"{self.kernel}<{', '.join(self.parameters)}>({', '.join(a.render() for a in self.arguments)});"


CTYPES = {
    "i1": "std::int8_t",
    "u1": "std::uint8_t",
    "i2": "std::int16_t",
    "u2": "std::uint16_t",
    "i4": "std::int32_t",
    "u4": "std::uint32_t",
    "u8": "Word",
}


@dataclass
class Emitter:
    """What kernels put their calls into; buffers are known by the names of the graph's tensors."""

    calls: list[Call] = field(default_factory=list)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    """Number of the call after which a tensor is there."""
    extra: list[Buffer] = field(default_factory=list)
    constants: bytearray = field(default_factory=bytearray)
    _plain: dict[str, Buffer] = field(default_factory=dict)
    _to_pack: dict[int, Buffer] = field(default_factory=dict)

    def add_input(self, name: str, shape: tuple[int, ...], datatype: str) -> None:
        """Make room for an input of the graph."""
        self.buffers[name] = _buffer(shape, datatype)
        self.ready[name] = 0

    def read(self, node: Node, index: int) -> Buffer:
        """The buffer of a node's input as it is."""
        return self.buffers[node.inputs[index]]

    def read_plain(self, node: Node, index: int) -> Buffer:
        """The buffer of a node's input with one element a value; a packed one is unpacked once."""
        name = node.inputs[index]
        packed = self.buffers[name]
        if not packed.packed:
            return packed
        if name not in self._plain:
            plain = Buffer(packed.pixels, packed.channels, packed.type, packed=False)
            self.extra.append(plain)
            self._plain[name] = plain
            self.call(node, "unpack", [packed.pixels, packed.channels], packed, plain)
        return self._plain[name]

    def write(self, node: Node, index: int) -> Buffer:
        """A new buffer for a node's output."""
        name = node.outputs[index]
        self.buffers[name] = _buffer(node.output_shape(index), node.output_type(index))
        return self.buffers[name]

    def write_plain(self, node: Node, index: int) -> Buffer:
        """A new buffer for a node's output with one element a value; a BINARY one is packed afterwards."""
        target = self.write(node, index)
        if not target.packed:
            return target
        plain = Buffer(target.pixels, target.channels, target.type, packed=False)
        self.extra.append(plain)
        self._to_pack[id(target)] = plain
        return plain

    def scratch(self, shape: tuple[int, ...], datatype: str) -> Buffer:
        """A buffer for what lies between two calls of a node."""
        buffer = _buffer(shape, datatype)
        self.extra.append(buffer)
        return buffer

    def pass_on(self, node: Node) -> None:
        """Let every output be the node's input."""
        source = node.inputs[0]
        for name in node.outputs:
            self.buffers[name], self.ready[name] = self.buffers[source], self.ready[source]
            if source in self._plain:
                self._plain[name] = self._plain[source]

    def constant(self, values: npt.NDArray[Any]) -> Constant:
        """Store an array."""
        offset = len(self.constants)
        self.constants += values.tobytes()
        self.constants += bytes(-len(self.constants) % ALIGNMENT)
        return Constant(CTYPES[values.dtype.str[1:]], offset)

    def call(self, node: Node, kernel: str, parameters: list[Any], *arguments: Buffer | Constant) -> None:
        """Add a call; its last argument is what it writes."""
        self.calls.append(Call(node.name, kernel, tuple(map(str, parameters)), arguments))
        number = len(self.calls)
        for argument in arguments:
            if isinstance(argument, Buffer):
                argument.born = argument.born or number
                argument.dies = number

    def compute(self, node: Node, kernel: str, parameters: list[Any], *constants: npt.NDArray[Any]) -> None:
        """Add the call of a kernel from all inputs and then ``constants`` to output 0, all with one element a value."""
        inputs = [self.read_plain(node, index) for index in range(len(node.inputs))]
        self.call(node, kernel, parameters, *inputs, *map(self.constant, constants), self.write_plain(node, 0))

    def finish(self, node: Node) -> None:
        """After a node's calls: pack its BINARY outputs, and note that its outputs are there."""
        for name in node.outputs:
            target = self.buffers[name]
            plain = self._to_pack.pop(id(target), None)
            if plain is not None:
                self.call(node, "pack", [target.pixels, target.channels], plain, target)
                self._plain.setdefault(name, plain)
            self.ready.setdefault(name, len(self.calls))

    def lay_out(self, inputs: list[str], outputs: list[str]) -> int:
        """Give every buffer its place, as low as those that live at the same time leave; returns the bytes.

        The copy of a tensor for a trace is taken right after its call, so nothing is kept longer than its readers.
        """
        for name in inputs:
            self.buffers[name].born = 0
        for name in outputs:
            self.buffers[name].dies = len(self.calls)
        unique = {id(buffer): buffer for buffer in [*self.buffers.values(), *self.extra]}
        placed: list[Buffer] = []
        for buffer in sorted(unique.values(), key=lambda b: (-b.bytes, b.born)):
            others = sorted((b for b in placed if b.born <= buffer.dies and buffer.born <= b.dies), key=_offset)
            for other in others:
                if buffer.offset + buffer.bytes <= other.offset:
                    break
                buffer.offset = max(buffer.offset, _aligned(other.offset + other.bytes))
            placed.append(buffer)
        return max((_aligned(buffer.offset + buffer.bytes) for buffer in placed), default=0)


def _buffer(shape: tuple[int, ...], datatype: str) -> Buffer:
    kind = Type.of(datatype)
    return Buffer(math.prod(shape[:-1]), shape[-1], kind, kind.packed)


def _offset(buffer: Buffer) -> int:
    return buffer.offset


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
