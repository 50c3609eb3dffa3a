// SPDX-License-Identifier: Apache-2.0
//
// Number of positions in which a vector agrees with each of several others, pipelined.
//
// First level : three positions a group, the XNOR inside it. The carry bit is one LUT6 of the six
//               inputs. The sum bit is linear, parity(a) ^ parity(b) ^ 1: with the parity of a made
//               once for many such units it is one LUT4. Two LUTs for three positions. Group g of G
//               holds positions g, g + G and g + 2G: a simulator then works on whole words.
// Then        : count = sums + 2 * carries, in one chain over both or in two side by side.
// Latency     : popcount_pkg::xnor_latency(N) cycles with en_i.
// Bit order   : of no importance, the same in all vectors; b_i[lane*N+:N], and
//               count_o[lane*Stride+:Stride], of which the bits that are not needed are zero.
// Lanes       : beside a_i they share only words, so that a simulator counts for all at once.

`default_nettype none

module popcount_xnor #(
  parameter int unsigned N      = 64,
  parameter int unsigned Lanes  = 1,
  parameter int unsigned Stride = 22
) (
  input  wire                                clk_i,
  input  wire                                en_i,
  input  wire  [N-1:0]                       a_i,
  input  wire  [popcount_pkg::groups(N)-1:0] a_parity_i,  // of group g
  input  wire  [Lanes*N-1:0]                 b_i,
  output logic [Lanes*Stride-1:0]            count_o
);

  localparam int unsigned Groups = popcount_pkg::groups(N);

  if (N == 0 || Lanes == 0) begin : gen_check_n
    $error("popcount_xnor: N and Lanes must be at least 1");
  end
  if (Stride < Groups || Stride <= $clog2(N + 1)) begin : gen_check_stride
    $error("popcount_xnor: Stride must hold a bit for each group, and one bit more than the count");
  end

  typedef logic [Lanes*Stride-1:0] word_t;

  word_t sum_d, sum_q, carry_d, carry_q;
  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    // Positions beyond N never agree.
    logic [N-1:0]           of_lane, agree;
    logic [2:0][Groups-1:0] match, b;
    assign of_lane = b_i[l*N+:N];
    assign agree   = a_i ~^ of_lane;
    assign match   = (3*Groups)'(agree);
    assign b       = (3*Groups)'({2'b11, of_lane});
    assign sum_d[l*Stride+:Stride]   =
        {{(Stride - Groups) {1'b0}}, ~(a_parity_i ^ b[0] ^ b[1] ^ b[2])};
    assign carry_d[l*Stride+:Stride] =
        {{(Stride - Groups) {1'b0}}, (match[0] & match[1]) | (match[2] & (match[0] | match[1]))};
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      sum_q   <= sum_d;
      carry_q <= carry_d;
    end
  end

  if (Groups == 1) begin : gen_single
    assign count_o = (carry_q << 1) | sum_q;
  end else begin : gen_columns
    // Half of the sums, and the carries, are worth two.
    localparam int unsigned SumWidth = $clog2(Groups + 1);
    localparam word_t       First    = {Lanes{Stride'(1)}};
    localparam word_t       Halves   = {Lanes{(Stride'(1) << (SumWidth - 1)) - Stride'(1)}};
    word_t sums, halves, upper, lowest_q;
    logic  unused;  // the upper bits of a lane
    assign unused = &{1'b0, sums, halves};

    popcount #(.N(Groups), .Lanes(Lanes), .Stride(Stride)) i_sums (
      .clk_i, .en_i, .bits_i(sum_q), .count_o(sums)
    );
    assign halves = (sums >> 1) & Halves;

    always_ff @(posedge clk_i) begin
      if (en_i) lowest_q <= sums & First;
    end
    assign count_o = (upper << 1) | lowest_q;

    if (Groups <= popcount_pkg::StageBits) begin : gen_on
      // The chain goes on over the carries, which wait a cycle for the sums.
      word_t late_q;
      always_ff @(posedge clk_i) begin
        if (en_i) late_q <= carry_q;
      end
      popcount_chain #(
        .N(Groups), .BaseMax(Groups / 2), .Lanes(Lanes), .Stride(Stride)
      ) i_carries (
        .clk_i, .en_i, .base_i(halves), .bits_i(late_q), .count_o(upper)
      );
    end else begin : gen_apart
      localparam int unsigned UpperWidth = $clog2(N + 1) - 1;
      word_t carries, upper_q;
      logic  unused_too;
      assign unused_too = &{1'b0, carries};
      popcount #(.N(Groups), .Lanes(Lanes), .Stride(Stride)) i_carries (
        .clk_i, .en_i, .bits_i(carry_q), .count_o(carries)
      );
      for (genvar l = 0; l < Lanes; l++) begin : gen_sum
        always_ff @(posedge clk_i) begin
          if (en_i) begin
            upper_q[l*Stride+:Stride] <=
                Stride'(UpperWidth'(carries[l*Stride+:SumWidth])
                      + UpperWidth'(halves[l*Stride+:SumWidth]));
          end
        end
      end
      assign upper = upper_q;
    end
  end

endmodule

`default_nettype wire
