# SPDX-License-Identifier: Apache-2.0
"""A design of two nodes, one of which has a comparison of many bits before a clock enable."""

from __future__ import annotations

from pathlib import Path

from hw.design.design import Design, DesignNode, Edge, End

TOP = "pair"
PORTS = """\
  input  logic ap_clk, ap_rst_n,
  input  logic [7:0] in0_V_TDATA,
  input  logic in0_V_TVALID,
  output logic in0_V_TREADY,
  output logic [7:0] out0_V_TDATA,
  output logic out0_V_TVALID,
  input  logic out0_V_TREADY
"""
QUIET = f"""\
module quiet (
{PORTS});
  assign in0_V_TREADY = out0_V_TREADY;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) out0_V_TVALID <= 1'b0;
    else if (out0_V_TREADY) out0_V_TVALID <= in0_V_TVALID;
    if (out0_V_TREADY) out0_V_TDATA <= in0_V_TDATA;
  end
endmodule
"""
SLOW = f"""\
module slow (
{PORTS});
  localparam int unsigned Bits = {{bits}};
  logic [Bits-1:0] held, bound;
  assign in0_V_TREADY = out0_V_TREADY;
  always_ff @(posedge ap_clk) begin
    held <= {{{{held[Bits-2:0], in0_V_TDATA[0]}}}};
    bound <= {{{{bound[Bits-2:0], in0_V_TDATA[1]}}}};
    if (!ap_rst_n) out0_V_TVALID <= 1'b0;
    else if (out0_V_TREADY) out0_V_TVALID <= in0_V_TVALID;
    if (held > bound) out0_V_TDATA <= in0_V_TDATA;
  end
endmodule
"""


def pair(folder: Path, bits: int) -> Design:
    """A node `Slow_rtl_0`, which compares that many bits, and `Quiet_rtl_0` behind it."""
    design = Design(
        folder=folder,
        top=TOP,
        part="",
        clock_ns=10,
        nodes=(_node("Slow_rtl_0", "slow", "in", "mid"), _node("Quiet_rtl_0", "quiet", "mid", "out")),
        edges=(
            Edge(tensor="in", source=None, sink=_end("Slow_rtl_0", "in0_V")),
            Edge(tensor="mid", source=_end("Slow_rtl_0", "out0_V"), sink=_end("Quiet_rtl_0", "in0_V")),
            Edge(tensor="out", source=_end("Quiet_rtl_0", "out0_V"), sink=None),
        ),
        modules={"slow": ("slow.sv",), "quiet": ("quiet.sv",)},
    )
    design.rtl.mkdir(parents=True)
    (design.rtl / "slow.sv").write_text(SLOW.format(bits=bits))
    (design.rtl / "quiet.sv").write_text(QUIET)
    return design


def _node(name: str, module: str, source: str, sink: str) -> DesignNode:
    op, layer = name.rpartition("_")[0], f"layer.{module}"
    streams = {"inputs": (source,), "outputs": (sink,)}
    return DesignNode(name=name, op=op, layer=layer, module=module, cycles=1, folding={}, **streams)


def _end(node: str, interface: str) -> End:
    return End(node=node, interface=interface, datatype="UINT8", folded_shape=(1, 1), shape=(1, 1), width=8)
