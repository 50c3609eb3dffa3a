# SPDX-License-Identifier: Apache-2.0
"""From a partition to a folder that any PC with g++ can compile: program.cpp, the kernels, constants.bin."""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.transformation.general import SortGraph

from hw.cppsim.emitter import Emitter, Node
from hw.cppsim.interface import Interface, TensorInfo
from hw.errors import UnsupportedNodeError
from hw.ops.registry import kind_of
from hw.streams.packing import DataType

HERE = Path(__file__).parent
MAGIC = b"cppsim01"
HEADER = struct.Struct("<8s32sQQ")
FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
README = """\
The accelerator's integers as one C++17 program. With g++ and nothing else:

    g++ -std=c++17 -O3 -march=native -fwrapv -pthread program.cpp main.cpp -o accelerate
    ./accelerate IMAGES.npy RESULTS.npy [--threads N]

IMAGES.npy holds (n, channels, height, width) integers of the input's type, RESULTS.npy gets the integers at the
accelerator's output. interface.json describes all tensors.
"""


@dataclass(frozen=True)
class Program:
    """A generated program: its code, its constants and what is known about it."""

    source: str
    constants: bytes
    interface: Interface

    def write(self, folder: Path) -> None:
        """Write everything that is needed to compile and run it into ``folder``, which is created."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in [*sorted(HERE.glob("*.h")), HERE / "main.cpp"]:
            shutil.copyfile(path, folder / path.name)
        (folder / "program.cpp").write_text(self.source)
        (folder / "constants.bin").write_bytes(self.constants)
        (folder / "README").write_text(README)
        self.interface.save(folder)


def generate_program(model: Any, *, scale: Any = None, offset: Any = 0.0, producer: str = "") -> Program:
    """Turn a partition of hardware nodes, generic or specialised, with or without FIFOs, into a program.

    Args:
        model: the partition (ModelWrapper) with shapes; it is left as it is.
        scale, offset: from the output's integers to logits, kept in the interface; one number, or one a class.
        producer: operator that writes the graph's inputs, for a part of a graph.

    Raises:
        UnsupportedNodeError: a node of a kind that is not known, one that its kernel cannot compute, or one whose
            datatypes contradict those of others.
    """
    _check_written(model)
    model = model.transform(SortGraph())
    kinds = [kind_of(node) for node in model.graph.node]
    nodes = [Node(model, node, producer) for node in model.graph.node]
    inputs = [tensor.name for tensor in model.graph.input if model.get_initializer(tensor.name) is None]
    outputs = [tensor.name for tensor in model.graph.output]
    emit, written = Emitter(), {}
    for name in inputs:
        reader, index = next((n, n.inputs.index(name)) for n in nodes if name in n.inputs)
        stream, datatype = reader.input_shape(index), reader.input_type(index)
        emit.add(name, stream, datatype).ready = 0
        written[name] = TensorInfo(name, "", "", _shape(model, name, stream), datatype.name)
    for node, kind in zip(nodes, kinds, strict=True):
        _check_types(node, written)
        kind.kernel(node, emit)
        emit.finish(node)
        for index, name in enumerate(node.outputs):
            shape = _shape(model, name, node.output_shape(index))
            written[name] = TensorInfo(name, node.name, node.op_type, shape, node.output_type(index).name)
    label = bool(nodes) and nodes[-1].op_type.startswith("LabelSelect")
    body = _render(emit, written, inputs, outputs)
    tag = hashlib.sha256(body.encode()).hexdigest()[:31]
    interface = Interface(tag, inputs, outputs, list(written.values()), scale, label, offset)
    source = body.replace("@TAG@", tag)
    return Program(source, _with_header(tag, bytes(emit.constants)), interface)


def _check_written(model: Any) -> None:
    """SortGraph would drop a node whose input comes from nowhere."""
    written = {tensor.name for tensor in [*model.graph.input, *model.graph.initializer]}
    written |= {name for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        for name in set(node.input) - written:
            raise UnsupportedNodeError(node.name, f"reads {name}, which nothing writes", "the graph is damaged")


def _shape(model: Any, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The tensor's shape in the graph, or, if the graph does not know it, in the stream."""
    known = model.get_tensor_shape(name)
    return shape if known is None else tuple(int(extent) for extent in known)


def _check_types(node: Node, written: dict[str, TensorInfo]) -> None:
    for index, name in enumerate(node.inputs):
        info, taken = written[name], node.input_type(index).name
        if info.datatype != taken:
            source = info.node or "the graph's input"
            raise node.refuse(f"reads {name} as {taken}, but {source} writes {info.datatype}", "run InferDataTypes")


def _with_header(tag: str, constants: bytes) -> bytes:
    """The file of constants: see Header in runtime.h."""
    words = np.frombuffer(constants, "<u8")
    state = FNV_OFFSET
    for word in words.tolist():
        state = (state ^ word) * FNV_PRIME & (2**64 - 1)
    return HEADER.pack(MAGIC, tag.encode(), len(constants), state) + constants


def _render(emit: Emitter, infos: dict[str, TensorInfo], inputs: list[str], outputs: list[str]) -> str:
    workspace, names = emit.lay_out(inputs, outputs), list(infos)
    steps = [
        f'    {{"{call.node}", [](std::byte* m, const std::byte* k) {{ (void)k; {call} }}}},' for call in emit.calls
    ]
    tensors = [_tensor(emit, info) for info in infos.values()]
    return f"""\
// SPDX-License-Identifier: Apache-2.0
// Generated from a graph of hardware nodes: each step is a kernel on places in the workspace m and constants k.
#include "products.h"
#include "runtime.h"
#include "streams.h"
#include "thresholds.h"
#include "windows.h"

namespace cppsim {{
namespace {{

const Step kSteps[] = {{
{_lines(steps)}
    {{nullptr, nullptr}}}};

const Tensor kTensors[] = {{
{_lines(tensors)}
}};

const std::size_t kInputTensors[] = {{{", ".join(str(names.index(name)) for name in inputs)}}};
const std::size_t kOutputTensors[] = {{{", ".join(str(names.index(name)) for name in outputs)}}};

const CppsimPort kInputs[] = {{
{_lines([_port(infos[name]) for name in inputs])}
}};
const CppsimPort kOutputs[] = {{
{_lines([_port(infos[name]) for name in outputs])}
}};

}}  // namespace

const Program kProgram = {{
    "@TAG@", {workspace}, {len(emit.constants)}, kSteps, {len(steps)}, kTensors, {len(tensors)},
    kInputTensors, kOutputTensors, kInputs, kOutputs, {len(inputs)}, {len(outputs)}}};

}}  // namespace cppsim
"""


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def _tensor(emit: Emitter, info: TensorInfo) -> str:
    buffer = emit.buffers[info.name]
    numbers = f"{buffer.ready}, {buffer.offset}, {buffer.pixels}, {buffer.channels}"
    return f"    {{{numbers}, {_enum(info.type)}, {str(buffer.packed).lower()}}},  // {info.name} ({info.datatype})"


def _port(info: TensorInfo) -> str:
    shape = ", ".join(map(str, info.shape))
    count = int(np.prod(info.shape))
    limits = f"{info.type.low}, {info.type.high}"
    return f'    {{"{info.name}", {len(info.shape)}, {{{shape}}}, {count}, {_enum(info.type)}, {limits}}},'


def _enum(kind: DataType) -> str:
    return f"k{kind.dtype.name.capitalize()}"
