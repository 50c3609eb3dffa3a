# SPDX-License-Identifier: Apache-2.0
"""From a FINN partition whose nodes have generated HDL to a design in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.design.design import TOP_MODULE, Design, DesignNode, Edge, End
from hw.design.errors import DesignError
from hw.design.modules import Modules
from hw.design.top import whole

FOLDING = ("PE", "SIMD", "depth")


def stitch(model: ModelWrapper, folder: Path, part: str, clk_ns: float) -> Design:
    """Write the design of a partition into `folder`, in place of what is there.

    Args:
        model: partition; every node is an RTL node that has been through ``generate_hdl`` or FINN's PrepareIP.
        folder: of the design.
        part: FPGA part, e.g. xc7z020clg400-1.
        clk_ns: clock period in nanoseconds.

    Raises:
        DesignError: a node has no HDL, or the nodes do not fit together.
    """
    folder = folder.resolve()
    wires = edges(model)
    shutil.rmtree(folder, ignore_errors=True)
    modules = Modules(folder / "rtl")
    nodes = tuple(_node(model, node, modules.add(node)) for node in model.graph.node)
    design = Design(
        folder=folder,
        top=TOP_MODULE,
        part=part,
        clock_ns=clk_ns,
        nodes=nodes,
        edges=tuple(wires),
        modules=modules.files | {TOP_MODULE: (f"{TOP_MODULE}.v",)},
    )
    (design.rtl / f"{TOP_MODULE}.v").write_text(whole(design))
    design.save()
    return design


def edges(model: ModelWrapper) -> list[Edge]:
    """Return the streams between nodes, and between nodes and the outside: inputs first, outputs last.

    Raises:
        DesignError: a tensor has several consumers, or its two ends disagree about its beats.
    """
    inputs = [value.name for value in model.graph.input if model.get_initializer(value.name) is None]
    outputs = [value.name for value in model.graph.output]
    inner = [name for node in model.graph.node for name in node.output if name not in (*inputs, *outputs)]
    return [_edge(model, name) for name in (*inputs, *inner, *outputs)]


def _node(model: ModelWrapper, node: NodeProto, module: str) -> DesignNode:
    op = getCustomOp(node)
    known = op.get_nodeattr_types()
    return DesignNode(
        name=node.name,
        op=node.op_type,
        layer=node.doc_string,
        module=module,
        cycles=int(op.get_exp_cycles()),
        folding={name: int(op.get_nodeattr(name)) for name in FOLDING if name in known and op.get_nodeattr(name)},
        inputs=tuple(name for name in node.input if model.get_initializer(name) is None),
        outputs=tuple(node.output),
    )


def _edge(model: ModelWrapper, tensor: str) -> Edge:
    producer = model.find_producer(tensor)
    consumers = model.find_consumers(tensor)
    if len(consumers) > 1:
        raise DesignError(f"tensor {tensor} has {len(consumers)} consumers: insert DuplicateStreams")
    source = _end(producer, "out", list(producer.output).index(tensor)) if producer else None
    sink = _end(consumers[0], "in", list(consumers[0].input).index(tensor)) if consumers else None
    if source and sink and source.folded_shape[-1] != sink.folded_shape[-1]:
        raise DesignError(
            f"{source.node} sends {source.folded_shape[-1]} elements a beat, {sink.node} takes "
            f"{sink.folded_shape[-1]}: insert a StreamingDataWidthConverter"
        )
    if source and sink and (source.beats, source.bits) != (sink.beats, sink.bits):
        raise DesignError(
            f"{source.node} sends {source.beats} beats of {source.bits} bits, "
            f"{sink.node} takes {sink.beats} of {sink.bits}"
        )
    return Edge(tensor=tensor, source=source, sink=sink)


def _end(node: NodeProto, side: Literal["in", "out"], index: int) -> End:
    """One of the streams that a node takes or gives."""
    op = getCustomOp(node)
    interfaces = op.get_verilog_top_module_intf_names()["s_axis" if side == "in" else "m_axis"]
    return End(
        node=node.name,
        interface=interfaces[index][0],
        datatype=getattr(op, f"get_{side}put_datatype")(index).name,
        folded_shape=getattr(op, f"get_folded_{side}put_shape")(index),
        shape=getattr(op, f"get_normal_{side}put_shape")(index),
        width=getattr(op, f"get_{side}stream_width_padded")(index),
    )
