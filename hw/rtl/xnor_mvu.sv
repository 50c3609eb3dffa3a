// SPDX-License-Identifier: Apache-2.0
//
// XNOR-popcount matrix-vector core: for each of PE neurons, the number of positions in which SF
// beats of SIMD activation bits agree with as many weight bits.
//
// Folding   : a neuron takes SF beats, marked first_i .. last_i; valid_i = 0 is a gap.
// Latency   : counts_o is there popcount_pkg::xnor_latency(SIMD) cycles (with en_i) after the last
//             beat, and one more for the accumulator where SF > 1. It stays for one such cycle.
//             soon_o: valid_o will be set after the next cycle with en_i.
// parities_i: of the groups of acts_i (popcount_xnor), so that all PE share them.
// Words     : weights_i holds so many words of constants, and word_i says which one counts.
// Bit order : weights_i[word][pe*SIMD+simd], counts_o[pe*AccWidth+:AccWidth].

`default_nettype none

module xnor_mvu #(
  parameter int unsigned PE       = 2,
  parameter int unsigned SIMD     = 64,
  parameter int unsigned SF       = 9,
  parameter int unsigned Words    = 1,
  parameter int unsigned AccWidth = $clog2(SF * SIMD + 1)
) (
  input  wire                                   clk_i,
  input  wire                                   rst_ni,
  input  wire                                   en_i,
  input  wire                                   valid_i,
  input  wire                                   first_i,
  input  wire                                   last_i,
  input  wire  [SIMD-1:0]                       acts_i,
  input  wire  [popcount_pkg::groups(SIMD)-1:0] parities_i,
  input  wire  [Words-1:0][PE*SIMD-1:0]         weights_i,
  input  wire  [popcount_pkg::bits(Words)-1:0]  word_i,
  output logic                                  soon_o,
  output logic                                  valid_o,
  output logic [PE*AccWidth-1:0]                counts_o
);

  if (PE == 0 || SIMD == 0 || SF == 0) begin : gen_check_positive
    $error("xnor_mvu: PE, SIMD and SF must be at least 1");
  end
  if (AccWidth < $clog2(SF * SIMD + 1)) begin : gen_check_acc_width
    $error("xnor_mvu: AccWidth must hold 0 .. SF * SIMD");
  end

  localparam int unsigned CountWidth = $clog2(SIMD + 1);
  localparam int unsigned Latency    = popcount_pkg::xnor_latency(SIMD);

  logic [Latency-1:0] valid_q, first_q, last_q;
  logic               valid, first, last;

  // The widening cast keeps this right for a latency of one.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (en_i) valid_q <= Latency'({valid_q, valid_i});
  end
  always_ff @(posedge clk_i) begin
    if (en_i) begin
      first_q <= Latency'({first_q, first_i});
      last_q  <= Latency'({last_q, last_i});
    end
  end
  assign valid = valid_q[Latency-1];
  assign first = first_q[Latency-1];
  assign last  = last_q[Latency-1];

  // As many neurons side by side as fit into a simulator's word of 64 bits.
  localparam int unsigned Groups  = popcount_pkg::groups(SIMD);
  localparam int unsigned Stride  = (Groups > CountWidth) ? Groups : CountWidth + 1;
  localparam int unsigned Abreast = (Stride < 64) ? 64 / Stride : 1;

  logic [PE-1:0][CountWidth-1:0] count;
  for (genvar p = 0; p < PE; p += Abreast) begin : gen_abreast
    localparam int unsigned Lanes = (PE - p < Abreast) ? PE - p : Abreast;
    logic [Lanes-1:0][Stride-1:0]     counts;
    logic [Words-1:0][Lanes*SIMD-1:0] weights;
    for (genvar w = 0; w < Words; w++) begin : gen_word
      assign weights[w] = weights_i[w][p*SIMD+:Lanes*SIMD];
    end
    popcount_xnor #(.N(SIMD), .Lanes(Lanes), .Stride(Stride), .Words(Words)) i_popcount (
      .clk_i,
      .en_i,
      .a_i        (acts_i),
      .a_parity_i (parities_i),
      .b_i        (weights),
      .word_i,
      .count_o    (counts)
    );
    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      assign count[p+l] = counts[l][CountWidth-1:0];
    end
  end

  if (SF == 1) begin : gen_direct
    logic unused;
    assign unused  = &{1'b0, first, last};
    assign soon_o  = 1'b0;
    assign valid_o = valid;
    for (genvar p = 0; p < PE; p++) begin : gen_count
      assign counts_o[p*AccWidth+:AccWidth] = AccWidth'(count[p]);
    end
  end else begin : gen_accumulate
    // The first beat's count fits the low bits. The high ones are cleared then, by the reset pin of
    // their flip-flops; only the low ones need a gate before the adder, in the adder's own LUTs.
    localparam int unsigned HighWidth = AccWidth - CountWidth;
    logic update, clear, done_q;
    assign update = en_i && valid;
    assign clear  = update && first;

    for (genvar p = 0; p < PE; p++) begin : gen_acc
      logic [AccWidth-1:0]   acc;
      logic [CountWidth-1:0] low_q;
      logic [HighWidth-1:0]  high_q;
      assign acc = AccWidth'(count[p]) + {high_q, first ? '0 : low_q};
      always_ff @(posedge clk_i) begin
        if (update) low_q <= acc[CountWidth-1:0];
      end
      always_ff @(posedge clk_i) begin
        if (clear) high_q <= '0;
        else if (update) high_q <= acc[AccWidth-1:CountWidth];
      end
      assign counts_o[p*AccWidth+:AccWidth] = {high_q, low_q};
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) done_q <= 1'b0;
      else if (en_i) done_q <= valid && last;
    end
    assign soon_o   = valid && last;
    assign valid_o  = done_q;
  end

`ifndef SYNTHESIS
  logic between_q;  // the next valid beat begins a neuron
  always_ff @(posedge clk_i) begin
    if (!rst_ni) between_q <= 1'b1;
    else if (en_i && valid) between_q <= last;
    if (rst_ni && en_i && valid) begin
      assert_framing : assert (first == between_q)
      else $error("%m: a neuron begins before the one before it ends, or without its first beat");
    end
    if (rst_ni && valid_o) begin
      for (int p = 0; p < int'(PE); p++) begin
        assert_count_range : assert (32'(counts_o[p*AccWidth+:AccWidth]) <= SF * SIMD)
        else $error("%m: more agreeing positions than there are");
      end
    end
  end
`endif

endmodule

`default_nettype wire
