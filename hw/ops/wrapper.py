# SPDX-License-Identifier: Apache-2.0
"""Verilog wrapper of a node: FINN's port names outside, one cell of hw/rtl with bound parameters inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """The one instance in a wrapper.

    Attributes:
        module: name of the module, of hw/rtl or made for the node.
        parameters: parameter name -> Verilog expression (an int is written as it is).
        connections: port name -> Verilog expression, for a cell with ports of its own beside clk_i and rst_ni; empty
            for one that has FINN's port names.
        assignments: right after the instance, e.g. the padding bits of outputs that the cell does not drive.
        tied: port name -> Verilog expression, for ports of a cell with FINN's names that no stream of the node has.
    """

    module: str
    parameters: Mapping[str, int | str]
    connections: Mapping[str, str] = field(default_factory=dict)
    assignments: tuple[str, ...] = ()
    tied: Mapping[str, str] = field(default_factory=dict)


def quoted(text: str) -> str:
    """``text`` as a Verilog string literal.

    Raises:
        ValueError: it holds a character that a literal cannot.
    """
    if any(char in text for char in '"\\\n'):
        raise ValueError(f"not expressible as a Verilog string: {text!r}")
    return f'"{text}"'


def bundle(elements: Sequence[str]) -> str:
    """The concatenation that connects a packed port, element 0 in the least significant bits."""
    return "{" + ", ".join(reversed(elements)) + "}"


def joined(values: Iterable[int], bits: int) -> int:
    """Numbers beside each other in ``bits`` bits each, two's complement, element 0 in the least significant bits."""
    return sum(int(value) % (1 << bits) << place * bits for place, value in enumerate(values))


def packed(values: Sequence[int], bits: int) -> str:
    """A packed array parameter of ``bits`` bits an element, element 0 in the least significant bits."""
    return f"{len(values) * bits}'h{joined(values, bits):x}"


def low_bits(stream: str, bits: int) -> str:
    """The part of a stream's data that carries elements; the rest is padding to whole bytes."""
    return f"{stream}_TDATA[{bits - 1}:0]"


def zero_padding(stream: str, bits: int, padded: int) -> tuple[str, ...]:
    """The assignment that ties the padding of an output to zero, or nothing where there is none."""
    if bits == padded:
        return ()
    return (f"assign {stream}_TDATA[{padded - 1}:{bits}] = {padded - bits}'d0;",)


def _parameters(cell: Cell) -> str:
    if not cell.parameters:
        return ""
    bound = ",\n".join(f"      .{name}({value})" for name, value in cell.parameters.items())
    return f"#(\n{bound}\n  ) "


def render(top: str, cell: Cell, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> str:
    """Text of the wrapper module.

    Args:
        top: name of the module.
        cell: what it instantiates.
        inputs: stream name (``in0_V``) -> bits of TDATA, a multiple of 8.
        outputs: the same for the outputs.
    """
    names = [*inputs, *outputs]
    ports = [
        f'(* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(names)}, ASSOCIATED_RESET ap_rst_n" *)',
        '(* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)',
        "input ap_clk,",
        '(* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)',
        "input ap_rst_n",
    ]
    for streams, there, back in ((inputs, "input", "output"), (outputs, "output", "input")):
        for name, bits in streams.items():
            ports[-1] += ","
            ports += [f"{there} [{bits - 1}:0] {name}_TDATA,", f"{there} {name}_TVALID,", f"{back} {name}_TREADY"]
    connections = {"clk_i": "ap_clk", "rst_ni": "ap_rst_n", **cell.connections}
    if not cell.connections:
        wires = [f"{name}_{suffix}" for name in names for suffix in ("TDATA", "TVALID", "TREADY")]
        connections = {wire: wire for wire in ("ap_clk", "ap_rst_n", *wires)} | dict(cell.tied)
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        f"// Generated: binds the parameters of {cell.module}.",
        f"module {top} (",
        *(f"    {port}" for port in ports),
        ");",
        f"  {cell.module} {_parameters(cell)}cell_i (",
        ",\n".join(f"      .{port}({expression})" for port, expression in connections.items()),
        "  );",
        *(f"  {line}" for line in cell.assignments),
        "endmodule",
    ]
    return "\n".join(lines) + "\n"
