// SPDX-License-Identifier: Apache-2.0
//
// Widens every pixel from ChIn to ChOut channels: Offset zero channels, the input, zero channels.
//
// Latency 1 cycle, one output beat a cycle (ChOut/PE cycles a pixel). The leading zeros of a pixel
// wait for its first input beat, so nothing leaves before its frame begins.

`default_nettype none

module channel_pad #(
  parameter int unsigned PE = 1,
  parameter int unsigned Width = 4,    // bits of an element
  parameter int unsigned ChIn = 16,
  parameter int unsigned ChOut = 32,
  parameter int unsigned Offset = 8    // zero channels before the input
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

  localparam int unsigned InBeats = PE == 0 ? 1 : ChIn / PE;
  localparam int unsigned OutBeats = PE == 0 ? 1 : ChOut / PE;
  localparam int unsigned LeadBeats = PE == 0 ? 0 : Offset / PE;
  localparam int unsigned CountWidth = OutBeats > 1 ? $clog2(OutBeats) : 1;

  if (PE == 0 || Width == 0 || ChIn == 0) begin : gen_check_size
    $error("channel_pad: PE, Width and ChIn must be at least 1");
  end
  if (PE == 0 || ChIn % PE != 0 || ChOut % PE != 0 || Offset % PE != 0) begin : gen_check_fold
    $error("channel_pad: PE must divide ChIn, ChOut and Offset");
  end
  if (Offset + ChIn > ChOut) begin : gen_check_channels
    $error("channel_pad: Offset + ChIn must not exceed ChOut");
  end

  logic [CountWidth-1:0] beat_q;
  logic [PE*Width-1:0] data, held;
  logic copy, tail, valid, ready;

  assign copy = 32'(beat_q) - LeadBeats < InBeats;  // wraps to a large number before Offset
  assign tail = 32'(beat_q) >= LeadBeats + InBeats;

  assign data         = copy ? in0_V_TDATA[PE*Width-1:0] : '0;
  assign valid        = in0_V_TVALID || tail;
  assign in0_V_TREADY = copy && ready;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) beat_q <= '0;
    else if (valid && ready) begin
      beat_q <= beat_q == CountWidth'(OutBeats - 32'd1) ? '0 : beat_q + CountWidth'(1);
    end
  end

  stream_register #(.Width(PE * Width)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (data),
    .valid_i(valid),
    .ready_o(ready),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && valid && ready) begin
      assert_beat_range : assert (32'(beat_q) < OutBeats)
      else $error("%m: more beats than a pixel has");
      assert_lead_waits : assert (tail || in0_V_TVALID)
      else $error("%m: zeros before their pixel");
    end
  end
  beat_ledger #(
    .InBeats(InBeats),
    .OutBeats(OutBeats),
    .First(LeadBeats == 0 ? 1 : 0),
    .Most(InBeats)
  ) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(in0_V_TVALID && in0_V_TREADY),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
