// SPDX-License-Identifier: Apache-2.0
//
// Beats of InWidth bits into beats of OutWidth bits, of which the wider is Ratio times the
// narrower. The first narrow beat is the least significant part of the wide one.
//
// Latency 1 cycle from the last narrow beat when widening, 2 from the wide beat when narrowing. One
// narrow beat a cycle, without a bubble between words. FINN's converter takes any two widths, and
// pays for it with a barrel of multiplexers; here a widened word shifts through flip-flops (no data
// LUT), and a narrowed one is picked by a Ratio:1 multiplexer.

`default_nettype none

module width_converter #(
  parameter int unsigned InWidth  = 4,
  parameter int unsigned OutWidth = 36
) (
  input  wire                           ap_clk,
  input  wire                           ap_rst_n,
  input  wire  [8*((InWidth+7)/8)-1:0]  in0_V_TDATA,
  input  wire                           in0_V_TVALID,
  output logic                          in0_V_TREADY,
  output logic [8*((OutWidth+7)/8)-1:0] out0_V_TDATA,
  output logic                          out0_V_TVALID,
  input  wire                           out0_V_TREADY
);

  localparam bit Widen = OutWidth > InWidth;
  localparam int unsigned Wide = Widen ? OutWidth : InWidth;
  localparam int unsigned Narrow = Widen ? InWidth : OutWidth;
  localparam int unsigned Ratio = Narrow == 0 ? 2 : Wide / Narrow;
  localparam int unsigned CountWidth = Ratio > 1 ? $clog2(Ratio) : 1;

  if (Narrow == 0 || Wide % Narrow != 0 || Ratio < 2) begin : gen_check_width
    $error("width_converter: one width must be a multiple of the other, at least twice");
  end

  logic [CountWidth-1:0] beat_q;  // of the narrow side, in its word
  logic [Wide-1:0] word_q;
  logic step, last;  // a narrow beat, the last of its word

  assign last = beat_q == CountWidth'(Ratio - 1);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) beat_q <= '0;
    else if (step) beat_q <= last ? '0 : beat_q + CountWidth'(1);
  end

  if (Widen) begin : gen_widen
    logic complete_q;

    assign in0_V_TREADY  = !complete_q || out0_V_TREADY;
    assign step          = in0_V_TVALID && in0_V_TREADY;
    assign out0_V_TVALID = complete_q;
    assign out0_V_TDATA  = $bits(out0_V_TDATA)'(word_q);

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) complete_q <= 1'b0;
      else if (in0_V_TREADY) complete_q <= step && last;
    end

    always_ff @(posedge ap_clk) begin
      if (step) word_q <= {in0_V_TDATA[Narrow-1:0], word_q[Wide-1:Narrow]};
    end
  end else begin : gen_narrow
    logic [Narrow-1:0] held;
    logic left_q;  // beats of the word are left
    logic ready;

    assign step         = left_q && ready;
    assign in0_V_TREADY = !left_q || (step && last);
    assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) left_q <= 1'b0;
      else if (in0_V_TREADY) left_q <= in0_V_TVALID;
    end

    always_ff @(posedge ap_clk) begin
      if (in0_V_TREADY) word_q <= in0_V_TDATA[Wide-1:0];
    end

    stream_register #(.Width(Narrow)) i_out (
      .clk_i  (ap_clk),
      .rst_ni (ap_rst_n),
      .data_i (word_q[beat_q*Narrow+:Narrow]),
      .valid_i(left_q),
      .ready_o(ready),
      .data_o (held),
      .valid_o(out0_V_TVALID),
      .ready_i(out0_V_TREADY)
    );
  end

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && step) begin
      assert_beat_range : assert (32'(beat_q) < Ratio)
      else $error("%m: more beats than a word has");
    end
  end
  beat_ledger #(
    .InBeats(Widen ? Ratio : 1),
    .OutBeats(Widen ? 1 : Ratio),
    .Most(Widen ? Ratio : 2)
  ) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(in0_V_TVALID && in0_V_TREADY),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
  stream_monitor #(.Width($bits(out0_V_TDATA))) i_monitor (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (out0_V_TDATA),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
