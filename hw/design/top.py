# SPDX-License-Identifier: Apache-2.0
"""Top modules: nodes wired to one another, or side by side; plain Verilog of wires and instances."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hw.design.design import Design, Edge, End

GAUGE_FRAMES = 4
"""What a gauge can hold: a branch may be ahead of another one by several frames."""
GAUGE_SOURCES = tuple(Path(__file__).parent / name for name in ("stream_gauge.sv", "stream_pacer.sv"))
STREAM_SIGNALS = ("tdata", "tvalid", "tready")


def bus(width: int) -> str:
    """Return the range of a declaration of that many bits; nothing for one."""
    return f"[{width - 1}:0] " if width > 1 else ""


def gauge_depth(stream: End) -> int:
    """Return the beats that a gauge on a stream holds."""
    return GAUGE_FRAMES * stream.beats + 2


class _Module:
    """The text of a module, as it grows."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ports = ["input wire ap_clk", "input wire ap_rst_n"]
        self._body: list[str] = []

    def port(self, name: str, width: int, *, is_output: bool) -> None:
        self._ports.append(f"{'output' if is_output else 'input'} wire {bus(width)}{name}")

    def stream(self, name: str, width: int, *, is_output: bool) -> str:
        """Add a stream at the border; returns the name of its wires, which are its ports."""
        for signal, bits, forward in zip(STREAM_SIGNALS, (width, 1, 1), (True, True, False), strict=True):
            self.port(f"{name}_{signal}", bits, is_output=is_output == forward)
        return name

    def wires(self, name: str, width: int) -> str:
        self._body.append(f"  wire {bus(width)}{name}_tdata; wire {name}_tvalid, {name}_tready;")
        return name

    def show(self, name: str, wires: str, width: int) -> None:
        """Show a stream between two instances at the border."""
        for signal in STREAM_SIGNALS:
            self.port(f"{name}_{signal}", width if signal == "tdata" else 1, is_output=True)
            self._body.append(f"  assign {name}_{signal} = {wires}_{signal};")

    def instance(
        self, module: str, name: str, streams: Mapping[str, str], parameters: str = "", pins: Sequence[str] = ()
    ) -> None:
        """Add an instance; `streams`: its interfaces and the wires that they are connected to."""
        bound = [
            f".{interface}_{signal.upper()}({wires}_{signal})"
            for interface, wires in streams.items()
            for signal in STREAM_SIGNALS
        ]
        rows = ",\n    ".join([".ap_clk(ap_clk), .ap_rst_n(ap_rst_n)", *bound, *pins])
        self._body.append(f"  {module} {parameters}{name} (\n    {rows});")

    def verilog(self) -> str:
        ports = ",\n  ".join(self._ports)
        lines = [f"// Generated.\nmodule {self._name} (\n  {ports}\n);", *self._body, "endmodule"]
        return "// SPDX-License-Identifier: Apache-2.0\n" + "\n".join(lines) + "\n"


def whole(design: Design, *, gauges: bool = False, taps: bool = False) -> str:
    """Return the text of the top module that wires a design's nodes.

    Args:
        design: nodes and edges.
        gauges: put a ``stream_gauge`` on every edge and a ``stream_pacer`` after every input, their settings and
            readings as ports (``gauge_<i>_limit``, ``_level``, ``_peak``; ``pacer_<i>_rate``); for simulation only.
        taps: show every stream between two nodes at the border (``tap_<i>_tdata``, ``_tvalid``, ``_tready``, all
            outputs); for simulation only, and it changes no cycle.
    """
    top = _Module(design.top)
    wires: dict[str, dict[str, str]] = {node.name: {} for node in design.nodes}
    inner, shown = design.inner, []
    for index, edge in enumerate(design.edges):
        before, after = _edge(top, design, edge, index, gauges)
        for end, name in ((edge.source, before), (edge.sink, after)):
            if end is not None:
                wires[end.node][end.interface] = name
        shown += [(after, edge.stream.width)] if taps and edge in inner else []
    for node in design.nodes:
        top.instance(node.module, node.name, wires[node.name])
    for index, (name, width) in enumerate(shown):  # last, so that the seeds of the border's stalls stay the same
        top.show(f"tap_{index}", name, width)
    return top.verilog()


def _edge(top: _Module, design: Design, edge: Edge, index: int, gauges: bool) -> tuple[str, str]:
    """Add the wires of an edge; returns their names at the source and at the sink."""
    width = edge.stream.width
    if edge.source is None:
        number = design.inputs.index(edge)
        before = top.stream(f"s_axis_{number}", width, is_output=False)
        if gauges:
            before = _measured(top, f"pacer_{number}", before, top.wires(f"p{number}", width), edge)
    elif edge.sink is None and not gauges:
        before = ""
    else:
        before = top.wires(f"t{index}_{re.sub(r'[^0-9A-Za-z_]', '_', edge.tensor)}", width)
    if edge.sink is None:
        after = top.stream(f"m_axis_{design.outputs.index(edge)}", width, is_output=True)
    else:
        after = top.wires(f"g{index}", width) if gauges else before
    if gauges:
        _measured(top, f"gauge_{index}", before, after, edge)
    return before or after, after


def _measured(top: _Module, name: str, before: str, after: str, edge: Edge) -> str:
    """Put a pacer or a gauge between two streams; returns the second."""
    module, parameters, ports = "stream_pacer", f"#(.Width({edge.stream.width}))", {"rate": False}
    if name.startswith("gauge"):
        module, parameters = "stream_gauge", f"#(.Width({edge.stream.width}), .Depth({gauge_depth(edge.stream)}))"
        ports = {"limit": False, "level": True, "peak": True}
    pins = []
    for port, is_output in ports.items():
        top.port(f"{name}_{port}", 32, is_output=is_output)
        pins.append(f".{port}_{'o' if is_output else 'i'}({name}_{port})")
    top.instance(module, name, {"in0_V": before, "out0_V": after}, f"{parameters} ", pins)
    return after


def side_by_side(design: Design) -> str:
    """Return the text of a top module with one of each module, unconnected; streams are MODULE_INTERFACE."""
    top = _Module(design.top)
    for module, node in {node.module: node for node in design.nodes}.items():
        streams = {}
        for ends, is_output in zip(design.ends(node.name), (False, True), strict=True):
            for _, end in ends:
                streams[end.interface] = top.stream(f"{module}_{end.interface}", end.width, is_output=is_output)
        top.instance(module, module, streams)
    return top.verilog()
