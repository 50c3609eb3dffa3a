// SPDX-License-Identifier: Apache-2.0
//
// A number plus the ones in a vector of up to 24 bits, pipelined, in each of several lanes.
//
// A chain of carry adders, each of which swallows six bits with three LUT6: five are counted inside
// the adder's own LUTs (sum bit = running count ^ table of five bits), the sixth is its carry-in.
//
// Latency   : popcount_pkg::chain_latency(N) cycles with en_i: a register after every second adder.
// Range     : base_i is 0 .. BaseMax, count_o is 0 .. BaseMax + N.
// Bit order : lane l in bits l*Stride and up, of which those that are not needed are zero. Within
//             bits_i of no importance.

`default_nettype none

module popcount_chain #(
  parameter int unsigned N       = 24,
  parameter int unsigned BaseMax = 1,
  parameter int unsigned Lanes   = 1,
  parameter int unsigned Stride  = 24
) (
  input  wire                     clk_i,
  input  wire                     en_i,
  input  wire  [Lanes*Stride-1:0] base_i,
  input  wire  [Lanes*Stride-1:0] bits_i,
  output logic [Lanes*Stride-1:0] count_o
);

  if (N == 0 || N > popcount_pkg::ChainBits || BaseMax == 0 || Lanes == 0) begin : gen_check_n
    $error("popcount_chain: N must be 1 .. 24, BaseMax and Lanes at least 1");
  end
  if (Stride < N || Stride <= $clog2(BaseMax + N + 1)) begin : gen_check_stride
    $error("popcount_chain: Stride must hold the N bits, and one bit more than the count");
  end

  localparam int unsigned AdderBits   = popcount_pkg::AdderBits;
  localparam int unsigned StageAdders = popcount_pkg::StageAdders;
  localparam int unsigned Adders      = (N + AdderBits - 1) / AdderBits;
  typedef logic [Lanes*Stride-1:0] word_t;

  // In each lane the lowest bits.
  function automatic word_t lowest(int unsigned bits);
    return {Lanes{(Stride'(1) << bits) - Stride'(1)}};
  endfunction

  // Adder g takes bit g of six words, so that a simulator counts for all of them, in all lanes, at
  // once. Those from the third on come a cycle later, as the sum that they go on with.
  word_t late;
  if (Adders > StageAdders) begin : gen_late
    word_t late_q;
    always_ff @(posedge clk_i) begin
      if (en_i) late_q <= bits_i;
    end
    assign late = late_q;
  end else begin : gen_at_once
    assign late = bits_i;
  end

  word_t add [AdderBits];
  for (genvar i = 0; i < AdderBits; i++) begin : gen_add
    localparam int unsigned From  = (i * Adders < N) ? i * Adders : N;
    localparam int unsigned Bits  = (N - From < Adders) ? N - From : Adders;
    localparam int unsigned Early = (Bits < StageAdders) ? Bits : StageAdders;
    assign add[i] = ((bits_i >> From) & lowest(Early))
                  | ((late >> From) & lowest(Bits) & ~lowest(Early));
  end

  // Ones among the first five bits: two full adders, one LUT5 for each bit of the result.
  word_t sum_three, carry_three, carry_five;
  assign sum_three   = add[0] ^ add[1] ^ add[2];
  assign carry_three = (add[0] & add[1]) | (add[2] & (add[0] | add[1]));
  assign carry_five  = (sum_three & add[3]) | (add[4] & (sum_three | add[3]));

  for (genvar g = 0; g < Adders; g++) begin : gen_adder
    localparam int unsigned Taken      = (AdderBits * (g + 1) < N) ? AdderBits * (g + 1) : N;
    localparam int unsigned CountWidth = $clog2(BaseMax + Taken + 1);
    localparam int unsigned LowWidth   = (CountWidth < 3) ? CountWidth : 3;

    word_t base;
    if (g == 0) begin : gen_base
      assign base = base_i;
    end else if (g == StageAdders) begin : gen_cut
      word_t base_q;
      always_ff @(posedge clk_i) begin
        if (en_i) base_q <= gen_adder[g-1].count;
      end
      assign base = base_q;
    end else begin : gen_on
      assign base = gen_adder[g-1].count;
    end

    // The carry-in stands below both operands. One operand is there, the low bits of the running
    // count; the other is what the LUTs make, and the bits above: so the carry multiplexers take a
    // bit that is there and need no LUT of their own. Yosys gives them the narrower operand.
    word_t one, two, four, carry_in, there, made, count;
    logic  unused;  // the upper bits of a lane
    assign one      = ((sum_three ^ add[3] ^ add[4]) >> g) & lowest(1);
    assign two      = ((carry_three ^ carry_five) >> g) & lowest(1);
    assign four     = ((carry_three & carry_five) >> g) & lowest(1);
    assign carry_in = (add[5] >> g) & lowest(1);
    assign there    = ((base & lowest(LowWidth)) << 1) | carry_in;
    assign made     = ((base & ~lowest(LowWidth)) << 1)
                    | (four << 3) | (two << 2) | (one << 1) | carry_in;
    assign unused   = &{1'b0, there, made};

    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      logic [CountWidth-1:0] total;
      logic                  unused_carry_in;
      assign {total, unused_carry_in} =
          there[l*Stride+:CountWidth+1] + made[l*Stride+:CountWidth+1];
      assign count[l*Stride+:Stride] = Stride'(total);
    end
  end

  word_t count_q;
  always_ff @(posedge clk_i) begin
    if (en_i) count_q <= gen_adder[Adders-1].count;
  end
  assign count_o = count_q;

endmodule

`default_nettype wire
