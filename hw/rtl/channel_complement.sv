// SPDX-License-Identifier: Apache-2.0
//
// The bitwise complement of some channels: of a bit its inverse, of a two's complement v the number
// -1 - v.
//
// Bit c of Mask says whether channel c is complemented. Latency 1 cycle, one beat a cycle.

`default_nettype none

module channel_complement #(
  parameter int unsigned PE = 1,
  parameter int unsigned Width = 1,  // bits of an element
  parameter int unsigned Channels = 16,
  parameter logic [Channels-1:0] Mask = '0
) (
  input  wire                           ap_clk,
  input  wire                           ap_rst_n,
  input  wire  [8*((PE*Width+7)/8)-1:0] in0_V_TDATA,
  input  wire                           in0_V_TVALID,
  output logic                          in0_V_TREADY,
  output logic [8*((PE*Width+7)/8)-1:0] out0_V_TDATA,
  output logic                          out0_V_TVALID,
  input  wire                           out0_V_TREADY
);

  localparam int unsigned Beats = PE == 0 ? 1 : Channels / PE;
  localparam int unsigned CountWidth = Beats > 1 ? $clog2(Beats) : 1;

  if (PE == 0 || Width == 0 || Channels == 0 || Channels % PE != 0) begin : gen_check_fold
    $error("channel_complement: PE and Width must be at least 1, and PE must divide Channels");
  end

  logic [CountWidth-1:0] beat_q;
  logic [PE-1:0] flip;
  logic [PE*Width-1:0] data, held;

  assign flip = Mask[32'(beat_q)*PE+:PE];

  for (genvar p = 0; p < int'(PE); p++) begin : gen_element
    assign data[p*Width+:Width] = in0_V_TDATA[p*Width+:Width] ^ {Width{flip[p]}};
  end

  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) beat_q <= '0;
    else if (in0_V_TVALID && in0_V_TREADY) begin
      beat_q <= beat_q == CountWidth'(Beats - 32'd1) ? '0 : beat_q + CountWidth'(1);
    end
  end

  stream_register #(.Width(PE * Width)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (data),
    .valid_i(in0_V_TVALID),
    .ready_o(in0_V_TREADY),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && in0_V_TVALID && in0_V_TREADY) begin
      assert_beat_range : assert (32'(beat_q) < Beats)
      else $error("%m: more beats than a pixel has");
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
