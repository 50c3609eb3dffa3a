// SPDX-License-Identifier: Apache-2.0
//
// Element-wise sum of two streams: out = a + b, exact (WidthO must hold every sum).
//
// A pair of beats enters when both inputs have one. Latency 1 cycle, one beat a cycle.
// PE elements a beat, element 0 in the least significant bits.

`default_nettype none

module stream_add #(
  parameter int unsigned PE = 1,
  parameter int unsigned WidthA = 5,  // bits of an element of in0
  parameter int unsigned WidthB = 4,  // bits of an element of in1
  parameter int unsigned WidthO = 6,  // bits of an element of out0
  parameter bit SignedA = 1'b1,
  parameter bit SignedB = 1'b1
) (
  input  wire                            ap_clk,
  input  wire                            ap_rst_n,
  input  wire  [8*((PE*WidthA+7)/8)-1:0] in0_V_TDATA,
  input  wire                            in0_V_TVALID,
  output logic                           in0_V_TREADY,
  input  wire  [8*((PE*WidthB+7)/8)-1:0] in1_V_TDATA,
  input  wire                            in1_V_TVALID,
  output logic                           in1_V_TREADY,
  output logic [8*((PE*WidthO+7)/8)-1:0] out0_V_TDATA,
  output logic                           out0_V_TVALID,
  input  wire                            out0_V_TREADY
);

  localparam int unsigned FullA = WidthA + (SignedB && !SignedA ? 1 : 0);
  localparam int unsigned FullB = WidthB + (SignedA && !SignedB ? 1 : 0);
  localparam int unsigned FullO = (FullA > FullB ? FullA : FullB) + 1;

  if (PE == 0 || WidthA == 0 || WidthB == 0) begin : gen_check_size
    $error("stream_add: PE, WidthA and WidthB must be at least 1");
  end
  if (WidthO < FullO) begin : gen_check_width
    $error("stream_add: WidthO must hold every sum");
  end

  logic [PE*WidthO-1:0] sum, held;
  logic valid, ready;

  for (genvar p = 0; p < int'(PE); p++) begin : gen_element
    logic [WidthA-1:0] a;
    logic [WidthB-1:0] b;
    logic [WidthO-1:0] a_wide, b_wide;
    assign a = in0_V_TDATA[p*WidthA+:WidthA];
    assign b = in1_V_TDATA[p*WidthB+:WidthB];
    assign a_wide = SignedA ? WidthO'($signed(a)) : WidthO'(a);
    assign b_wide = SignedB ? WidthO'($signed(b)) : WidthO'(b);
    assign sum[p*WidthO+:WidthO] = a_wide + b_wide;
  end

  assign valid        = in0_V_TVALID && in1_V_TVALID;
  assign in0_V_TREADY = in1_V_TVALID && ready;
  assign in1_V_TREADY = in0_V_TVALID && ready;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  stream_register #(.Width(PE * WidthO)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (sum),
    .valid_i(valid),
    .ready_o(ready),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && (in0_V_TVALID || in1_V_TVALID)) begin
      assert_pairs : assert ((in0_V_TVALID && in0_V_TREADY) == (in1_V_TVALID && in1_V_TREADY))
      else $error("%m: a beat is taken without the other of its pair");
    end
  end
  beat_ledger i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(in0_V_TVALID && in0_V_TREADY),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
