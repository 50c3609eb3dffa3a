// SPDX-License-Identifier: Apache-2.0
//
// Number of positions in which two vectors agree, pipelined.
//
// First level : three positions a group, the XNOR inside it. The carry bit is one LUT6 of the six
//               inputs. The sum bit is linear, parity(a) ^ parity(b) ^ 1: with the parity of a made
//               once for many such units it is one LUT4. Two LUTs for three positions. Group g of G
//               holds positions g, g + G and g + 2G: a simulator then works on whole words.
// Then        : count = sums + 2 * carries, in one chain over both or in two side by side.
// Latency     : 1 for N <= 3, else 2 + latency of popcount #(ceil(N / 3)); in cycles with en_i.
// Bit order   : of no importance, the same in both vectors.
module popcount_xnor #(
  parameter  int unsigned N          = 64,
  localparam int unsigned CountWidth = $clog2(N + 1)
) (
  input  logic                  clk_i,
  input  logic                  en_i,
  input  logic [N-1:0]          a_i,
  input  logic [(N+2)/3-1:0]    a_parity_i,     // of group g
  input  logic [N-1:0]          b_i,
  output logic [CountWidth-1:0] count_o
);

  if (N == 0) begin : gen_check_n
    $error("popcount_xnor: N must be at least 1");
  end

  localparam int unsigned Groups = (N + 2) / 3;

  // Positions beyond N never agree.
  logic [N-1:0]           agree;
  logic [2:0][Groups-1:0] match, b;
  logic [Groups-1:0]      sum_q, carry_q;
  assign agree = a_i ~^ b_i;
  assign match = (3*Groups)'(agree);
  assign b     = (3*Groups)'({2'b11, b_i});

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      sum_q   <= ~(a_parity_i ^ b[0] ^ b[1] ^ b[2]);
      carry_q <= (match[0] & match[1]) | (match[2] & (match[0] | match[1]));
    end
  end

  if (Groups == 1) begin : gen_single
    assign count_o = CountWidth'({carry_q, sum_q});
  end else begin : gen_columns
    // Half of the sums, and the carries, are worth two.
    localparam int unsigned SumWidth = $clog2(Groups + 1);
    localparam int unsigned Upper    = CountWidth - 1;
    logic [SumWidth-1:0] sums;
    logic [Upper-1:0]    upper;
    logic                lowest_q;

    popcount #(.N(Groups)) i_sums (.clk_i, .en_i, .bits_i(sum_q), .count_o(sums));

    always_ff @(posedge clk_i) begin
      if (en_i) lowest_q <= sums[0];
    end
    assign count_o = {upper, lowest_q};

    if (Groups <= 12) begin : gen_on
      // The chain goes on over the carries, which wait a cycle for the sums.
      localparam int unsigned BaseMax = Groups / 2;
      logic [Groups-1:0]                   late_q;
      logic [$clog2(BaseMax+Groups+1)-1:0] total;
      always_ff @(posedge clk_i) begin
        if (en_i) late_q <= carry_q;
      end
      popcount_chain #(.N(Groups), .BaseMax(BaseMax)) i_carries (
        .clk_i,
        .en_i,
        .base_i  (sums[SumWidth-1:1]),
        .bits_i  (late_q),
        .count_o (total)
      );
      assign upper = Upper'(total);
    end else begin : gen_apart
      logic [SumWidth-1:0] carries;
      logic [Upper-1:0]    upper_q;
      popcount #(.N(Groups)) i_carries (.clk_i, .en_i, .bits_i(carry_q), .count_o(carries));
      always_ff @(posedge clk_i) begin
        if (en_i) upper_q <= Upper'(carries) + Upper'(sums[SumWidth-1:1]);
      end
      assign upper = upper_q;
    end
  end

endmodule
