// SPDX-License-Identifier: Apache-2.0
//
// Number of positions in which a vector agrees with each of several others, pipelined.
//
// First level : three positions a group, the XNOR inside it. The carry bit is one LUT6 of the six
//               inputs. The sum bit is linear, parity(a) ^ parity(b) ^ 1: with the parity of a made
//               once for many such units it is one LUT4. Two LUTs for three positions. Group g of G
//               holds positions g, g + G and g + 2G: a simulator then works on whole words.
// Then        : popcount_columns.
// Latency     : popcount_pkg::xnor_latency(N) cycles with en_i.
// Bit order   : of no importance, the same in all vectors; b_i[lane*N+:N], and
//               count_o[lane*Stride+:Stride], of which the bits that are not needed are zero.
// Lanes       : beside a_i they share only words, so that a simulator counts for all at once.
// Words       : b_i holds so many vectors for each lane, and word_i says which one counts. Meant
//               for constants: a LUT then holds what a group makes of eight words.

`default_nettype none

module popcount_xnor #(
  parameter int unsigned N      = 64,
  parameter int unsigned Lanes  = 1,
  parameter int unsigned Stride = 22,
  parameter int unsigned Words  = 1
) (
  input  wire                                clk_i,
  input  wire                                en_i,
  input  wire  [N-1:0]                       a_i,
  input  wire  [popcount_pkg::groups(N)-1:0] a_parity_i,  // of group g
  input  wire  [Words-1:0][Lanes*N-1:0]      b_i,
  input  wire  [popcount_pkg::bits(Words)-1:0] word_i,
  output logic [Lanes*Stride-1:0]            count_o
);

  localparam int unsigned Groups = popcount_pkg::groups(N);

  if (N == 0 || Lanes == 0) begin : gen_check_n
    $error("popcount_xnor: N and Lanes must be at least 1");
  end

  typedef logic [Lanes*Stride-1:0] word_t;

  // Of one lane and one word: whether two of a group agree, or one or three.
  typedef logic [2:0][Groups-1:0] groups_t;
  function automatic logic [Groups-1:0] parity(logic [N-1:0] b);
    groups_t of_group;
    of_group = (3*Groups)'({2'b11, b});  // positions beyond N never agree
    return of_group[0] ^ of_group[1] ^ of_group[2];
  endfunction
  function automatic logic [Groups-1:0] majority(logic [N-1:0] a, logic [N-1:0] b);
    groups_t match;
    logic [N-1:0] agree;
    agree = a ~^ b;
    match = (3*Groups)'(agree);
    return (match[0] & match[1]) | (match[2] & (match[0] | match[1]));
  endfunction

  // All words side by side, then the one asked for: so synthesis keeps a group's answers together.
  // Weights chosen first would be shared among groups, in LUTs of their own.
  word_t sum_d, sum_q, carry_d, carry_q;
  word_t [Words-1:0] sums_d, carries_d;
  for (genvar w = 0; w < int'(Words); w++) begin : gen_word
    for (genvar l = 0; l < int'(Lanes); l++) begin : gen_lane
      assign sums_d[w][l*Stride+:Stride]    = Stride'(Groups'(parity(b_i[w][l*N+:N])));
      assign carries_d[w][l*Stride+:Stride] = Stride'(majority(a_i, b_i[w][l*N+:N]));
    end
  end
  for (genvar l = 0; l < int'(Lanes); l++) begin : gen_sum
    assign sum_d[l*Stride+:Stride] =
        Stride'(Groups'(~(a_parity_i ^ sums_d[word_i][l*Stride+:Groups])));
  end
  assign carry_d = carries_d[word_i];

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      sum_q   <= sum_d;
      carry_q <= carry_d;
    end
  end

  popcount_columns #(.N(N), .Lanes(Lanes), .Stride(Stride)) i_columns (
    .clk_i, .en_i, .sums_i(sum_q), .carries_i(carry_q), .count_o
  );

endmodule

`default_nettype wire
