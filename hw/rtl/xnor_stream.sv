// SPDX-License-Identifier: Apache-2.0
//
// FINN's streams around a matrix-vector datapath that has its weights built in: one vector a beat
// goes in, and for each of its MH / PE words the datapath makes PE counts.
//
// Folding    : in0 takes a vector of MW bits, out0 gives NF = MH / PE beats of PE counts, AccWidth
//              bits each. The vector is taken when its last word is read.
// Throughput : a vector every NF cycles, back to back.
// Datapath   : counts_i is the answer to acts_o and word_o, Latency cycles with en_o later.
// Latency    : from the input beat to its output beat, NF = 1, unstalled: Latency + 2 cycles.
// Bit order  : element 0 in the lowest bits. Padding bits are ignored (in0) or zero (out0).

`default_nettype none

module xnor_stream #(
  parameter int unsigned MW       = 144,
  parameter int unsigned MH       = 16,
  parameter int unsigned PE       = 16,
  parameter int unsigned AccWidth = $clog2(MW + 1),
  parameter int unsigned Latency  = 1
) (
  input  wire                                     ap_clk,
  input  wire                                     ap_rst_n,
  input  wire  [8*((MW+7)/8)-1:0]                 in0_V_TDATA,
  input  wire                                     in0_V_TVALID,
  output logic                                    in0_V_TREADY,
  output logic [8*((PE*AccWidth+7)/8)-1:0]        out0_V_TDATA,
  output logic                                    out0_V_TVALID,
  input  wire                                     out0_V_TREADY,
  output logic                                    en_o,
  output logic [MW-1:0]                           acts_o,
  output logic [popcount_pkg::bits(MH / PE)-1:0]  word_o,
  input  wire  [PE*AccWidth-1:0]                  counts_i
);

  if (PE == 0 || MH == 0 || MH % PE != 0) begin : gen_check_pe
    $error("xnor_stream: PE must divide MH");
  end
  if (MW == 0 || AccWidth < $clog2(MW + 1)) begin : gen_check_acc_width
    $error("xnor_stream: AccWidth must hold 0 .. MW");
  end
  if (Latency == 0) begin : gen_check_latency
    $error("xnor_stream: Latency must be at least 1");
  end

  localparam int unsigned NF       = MH / PE;
  localparam int unsigned WordBits = popcount_pkg::bits(NF);
  localparam int unsigned OutWidth = PE * AccWidth;

  // ---- Sequence: the words of a vector one after the other.
  logic                enable, advance, last;
  logic [WordBits-1:0] next_q, word_q;
  logic [MW-1:0]       acts_q;
  assign advance      = enable && in0_V_TVALID;
  assign last         = next_q == WordBits'(NF - 1);
  assign in0_V_TREADY = enable && last;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) next_q <= '0;
    else if (advance) next_q <= last ? '0 : next_q + 1'b1;
  end
  always_ff @(posedge ap_clk) begin
    if (enable) begin
      acts_q <= in0_V_TDATA[MW-1:0];
      word_q <= next_q;
    end
  end
  assign en_o   = enable;
  assign acts_o = acts_q;
  assign word_o = word_q;

  // ---- What the datapath holds: a beat of acts_q, and one a cycle of its latency.
  logic [Latency:0] valid_q;
  logic             valid;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else if (enable) valid_q <= {valid_q[Latency-1:0], in0_V_TVALID};
  end
  assign valid = valid_q[Latency];

  logic [OutWidth-1:0] out;
  stream_skid #(.Width(OutWidth)) i_out (
    .clk_i   (ap_clk),
    .rst_ni  (ap_rst_n),
    .data_i  (counts_i),
    .valid_i (valid),
    .enable_o(enable),
    .data_o  (out),
    .valid_o (out0_V_TVALID),
    .ready_i (out0_V_TREADY)
  );
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(out);

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && valid) begin
      for (int p = 0; p < int'(PE); p++) begin
        assert_count_range : assert (32'(counts_i[p*AccWidth+:AccWidth]) <= MW)
        else $error("%m: more agreeing positions than there are");
      end
    end
  end
  stream_monitor #(.Width(OutWidth)) i_monitor (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (out),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
  beat_ledger #(
    .InBeats(1),
    .OutBeats(NF),
    .First(NF == 1 ? 1 : 0),  // a vector is taken last
    .Most(2 + (Latency + 6) / NF)
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
