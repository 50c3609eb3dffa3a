# SPDX-License-Identifier: Apache-2.0
"""One flat Verilog top from a FINN partition whose nodes have generated HDL."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from finn.transformation.fpgadataflow.replace_verilog_relpaths import ReplaceVerilogRelPaths
from finn.util.fpgadataflow import is_rtl_node
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.rtlsim.blockdesign import BlockDesign, StitchError

TOP_MODULE = "finn_design_wrapper"
GAUGE_FRAMES = 4  # what a gauge can hold: a branch may be ahead of another one by several frames

_HERE = Path(__file__).parent
_MEMORY_SUFFIXES = {".dat", ".hex", ".mem"}


@dataclass(frozen=True)
class Stream:
    """One end of an edge of the graph.

    Attributes:
        node: name of the node.
        interface: the node's name of it, e.g. "in0_V".
        datatype: of an element.
        folded_shape: of one frame as it travels, the elements of a beat last.
        shape: of one frame in the graph.
        width: bits of a beat, padded to bytes.
    """

    node: str
    interface: str
    datatype: BaseDataType
    folded_shape: tuple[int, ...]
    shape: tuple[int, ...]
    width: int

    @property
    def beats(self) -> int:
        """Beats of one frame."""
        return int(np.prod(self.folded_shape[:-1]))

    @property
    def bits(self) -> int:
        """Bits of a beat that carry elements."""
        return int(self.folded_shape[-1] * self.datatype.bitwidth())

    @property
    def gauge_depth(self) -> int:
        """Beats that a gauge on this stream holds."""
        return GAUGE_FRAMES * self.beats + 2


@dataclass(frozen=True)
class Edge:
    """A tensor that travels as a stream; `source` or `sink` is None at the border of the design."""

    tensor: str
    source: Stream | None
    sink: Stream | None

    @property
    def stream(self) -> Stream:
        """The end that says how the tensor is folded."""
        end = self.source or self.sink
        if end is None:
            raise StitchError(f"tensor {self.tensor} belongs to no node")
        return end

    def __str__(self) -> str:
        ends = (end.node if end else "outside" for end in (self.source, self.sink))
        return f"{self.tensor} ({' -> '.join(ends)})"


@dataclass(frozen=True)
class StitchedDesign:
    """A stitched partition.

    Attributes:
        top: name of the top module.
        wrapper: its file, one of `sources`.
        sources: every Verilog file, packages first.
        inputs: edge of each input stream ``s_axis_<i>``, in the order of the graph's inputs.
        outputs: edge of each output stream ``m_axis_<i>``.
        gauges: edge on which gauge ``<i>`` sits; empty unless asked for.
        taps: edge that ``tap_<i>`` shows; empty unless asked for.
    """

    top: str
    wrapper: Path
    sources: tuple[Path, ...]
    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]
    gauges: tuple[Edge, ...] = ()
    taps: tuple[Edge, ...] = ()


def edges(model: ModelWrapper) -> list[Edge]:
    """The streams between nodes, and between nodes and the outside: inputs first, outputs last.

    Raises:
        StitchError: a tensor has several consumers, or its two ends disagree about its beats.
    """
    inputs = [_edge(model, value.name) for value in model.graph.input if model.get_initializer(value.name) is None]
    border = {edge.tensor for edge in inputs} | {value.name for value in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name not in border]
    return inputs + [_edge(model, name) for name in [*inner, *(value.name for value in model.graph.output)]]


def stitch(model: ModelWrapper, out_dir: Path, *, gauges: bool = False, taps: bool = False) -> StitchedDesign:
    """Wire the nodes of `model` into one module below `out_dir`.

    Sets the metadata with which FINN's ``execute_onnx`` simulates the stitched design. Nodes whose generated
    files differ only in names share one module: they are compiled once.

    Args:
        model: partition; every node is an RTL node that has been through PrepareIP.
        out_dir: folder of the wrapper, created where it is missing.
        gauges: put a ``stream_gauge`` on every edge and a ``stream_pacer`` behind every input, their settings
            and readings as ports (``gauge_<i>_limit``, ``_level``, ``_peak``; ``pacer_<i>_rate``); for
            simulation only.
        taps: show every stream between two nodes at the border (``tap_<i>_tdata``, ``_tvalid``, ``_tready``, all
            outputs); for simulation only, and it changes no cycle.

    Raises:
        StitchError: a node has no HDL, or the nodes do not fit together.
    """
    out_dir = out_dir.resolve()
    out_dir.mkdir(parents=True, exist_ok=True)
    model.transform(ReplaceVerilogRelPaths(), make_deepcopy=False, cleanup=False)
    design = BlockDesign()
    design.add_port("ap_clk", 1, is_output=False)
    design.add_port("ap_rst_n", 1, is_output=False)
    pool = _ModulePool()
    for node in model.graph.node:
        design.run(pool.commands(node))
        for pin in ("ap_clk", "ap_rst_n"):
            design.connect(pin, f"{node.name}/{pin}")
    wires = edges(model)
    inputs = tuple(edge for edge in wires if edge.source is None)
    outputs = tuple(edge for edge in wires if edge.sink is None)
    for index, edge in enumerate(wires):
        _wire(design, edge, inputs, outputs, index if gauges else None)
    inner = tuple(edge for edge in wires if edge.source and edge.sink) if taps else ()
    for index, edge in enumerate(inner):  # last, so that the seeds of the border's stalls stay the same
        design.tap_stream(f"tap_{index}", f"{edge.stream.node}/{edge.stream.interface}", edge.stream.width)
    sources = sorted(design.sources, key=lambda path: not path.stem.endswith("_pkg"))
    wrapper = out_dir / f"{TOP_MODULE}.v"
    wrapper.write_text("// SPDX-License-Identifier: Apache-2.0\n// Generated.\n" + design.verilog(TOP_MODULE))
    stitched = StitchedDesign(
        top=TOP_MODULE,
        wrapper=wrapper,
        sources=(*sources, wrapper),
        inputs=inputs,
        outputs=outputs,
        gauges=tuple(wires) if gauges else (),
        taps=inner,
    )
    _set_metadata(model, stitched)
    return stitched


class _ModulePool:
    """Nodes' block-design commands, with nodes that generated the same files referring to the same module."""

    def __init__(self) -> None:
        self._modules: dict[tuple[str, ...], str] = {}

    def commands(self, node: NodeProto) -> list[str]:
        if not is_rtl_node(node):
            raise StitchError(f"{node.name} ({node.op_type}) is not an RTL node")
        op = getCustomOp(node)
        module, folder = op.get_nodeattr("gen_top_module"), op.get_nodeattr("code_gen_dir_ipgen")
        if not module or not Path(folder).is_dir():
            raise StitchError(f"{node.name} has no generated HDL: run PrepareIP first")
        commands: list[str] = op.code_generation_ipi()
        own = [
            c.split()[-1] for c in commands if c.startswith("add_files") and Path(c.split()[-1]).is_relative_to(folder)
        ]
        # a name after a slash is part of the path of a memory file, which is what makes two nodes different
        name = re.compile(rf"(?<![/\w]){re.escape(module)}")
        texts = (name.sub("@", Path(file).read_text()) for file in own)
        memories = (file.read_text() for file in sorted(Path(folder).iterdir()) if file.suffix in _MEMORY_SUFFIXES)
        key = (*texts, *memories)
        shared = self._modules.setdefault(key, module)
        if shared == module:
            return commands
        kept = [command for command in commands if command.split()[-1] not in own]
        return [command.replace(f"-reference {module}", f"-reference {shared}") for command in kept]


def _edge(model: ModelWrapper, tensor: str) -> Edge:
    producer = model.find_producer(tensor)
    consumers = model.find_consumers(tensor)
    if len(consumers) > 1:
        raise StitchError(f"tensor {tensor} has {len(consumers)} consumers: insert DuplicateStreams")
    source = _output(producer, list(producer.output).index(tensor)) if producer else None
    sink = _input(consumers[0], list(consumers[0].input).index(tensor)) if consumers else None
    if source and sink and source.folded_shape[-1] != sink.folded_shape[-1]:
        raise StitchError(
            f"{source.node} sends {source.folded_shape[-1]} elements a beat, {sink.node} takes "
            f"{sink.folded_shape[-1]}: insert a StreamingDataWidthConverter"
        )
    if source and sink and (source.beats, source.bits) != (sink.beats, sink.bits):
        raise StitchError(
            f"{source.node} sends {source.beats} beats of {source.bits} bits, "
            f"{sink.node} takes {sink.beats} of {sink.bits}"
        )
    return Edge(tensor, source, sink)


def _input(node: NodeProto, index: int) -> Stream:
    op = getCustomOp(node)
    return Stream(
        node=node.name,
        interface=op.get_verilog_top_module_intf_names()["s_axis"][index][0],
        datatype=op.get_input_datatype(index),
        folded_shape=_ints(op.get_folded_input_shape(index)),
        shape=_ints(op.get_normal_input_shape(index)),
        width=op.get_instream_width_padded(index),
    )


def _output(node: NodeProto, index: int) -> Stream:
    op = getCustomOp(node)
    return Stream(
        node=node.name,
        interface=op.get_verilog_top_module_intf_names()["m_axis"][index][0],
        datatype=op.get_output_datatype(index),
        folded_shape=_ints(op.get_folded_output_shape(index)),
        shape=_ints(op.get_normal_output_shape(index)),
        width=op.get_outstream_width_padded(index),
    )


def _ints(shape: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(size) for size in shape)


def _wire(design: BlockDesign, edge: Edge, inputs: Sequence[Edge], outputs: Sequence[Edge], gauge: int | None) -> None:
    """Connect the two ends of `edge`, through a pacer and a gauge where it is to be measured."""
    source, sink = (f"{end.node}/{end.interface}" if end else "" for end in (edge.source, edge.sink))
    if edge.source is None:
        index = inputs.index(edge)
        source = f"s_axis_{index}"
        design.add_stream_port(source, edge.stream.width, is_output=False)
        if gauge is not None:
            source = _measure(design, "stream_pacer", f"pacer_{index}", source, edge)
    if edge.sink is None:
        sink = f"m_axis_{outputs.index(edge)}"
        design.add_stream_port(sink, edge.stream.width, is_output=True)
    if gauge is not None:
        source = _measure(design, "stream_gauge", f"gauge_{gauge}", source, edge)
    design.connect_stream(source, sink)


def _measure(design: BlockDesign, module: str, name: str, source: str, edge: Edge) -> str:
    """Put a measuring cell behind `source`; returns its output stream."""
    design.sources[_HERE / f"{module}.sv"] = None
    parameters = {"Width": str(edge.stream.width)}
    ports = {"rate": False}
    if module == "stream_gauge":
        parameters["Depth"] = str(edge.stream.gauge_depth)
        ports = {"limit": False, "level": True, "peak": True}
    design.add_cell(name, module, parameters)
    for pin in ("ap_clk", "ap_rst_n"):
        design.connect(pin, f"{name}/{pin}")
    for port, is_output in ports.items():
        design.add_port(f"{name}_{port}", 32, is_output=is_output)
        design.connect(f"{name}_{port}", f"{name}/{port}_{'o' if is_output else 'i'}")
    design.connect_stream(source, f"{name}/in0_V")
    return f"{name}/out0_V"


def _set_metadata(model: ModelWrapper, design: StitchedDesign) -> None:
    sources = design.wrapper.with_name("all_verilog_srcs.txt")
    sources.write_text("\n".join(map(str, design.sources)) + "\n")
    names = {
        "clk": ["ap_clk"],
        "rst": ["ap_rst_n"],
        "s_axis": [(f"s_axis_{i}", edge.stream.width) for i, edge in enumerate(design.inputs)],
        "m_axis": [(f"m_axis_{i}", edge.stream.width) for i, edge in enumerate(design.outputs)],
        "aximm": [],
        "axilite": [],
        "ap_none": [],
    }
    model.set_metadata_prop("vivado_stitch_proj", str(design.wrapper.parent))
    model.set_metadata_prop("wrapper_filename", str(design.wrapper))
    model.set_metadata_prop("vivado_stitch_ifnames", json.dumps(names))
    model.set_metadata_prop("exec_mode", "rtlsim")
    model.set_metadata_prop("rtlsim_so", "")  # a library of an earlier stitching no longer fits
