// SPDX-License-Identifier: Apache-2.0
//
// A number plus the ones in a vector of up to 24 bits, pipelined.
//
// A chain of carry adders, each of which swallows six bits with three LUT6: five are counted inside
// the adder's own LUTs (sum bit = running count ^ table of five bits), the sixth is its carry-in.
//
// Latency   : 1 for N <= 12, else 2 (a register after every second adder); in cycles with en_i.
// Range     : base_i is 0 .. BaseMax, count_o is 0 .. BaseMax + N.
// Bit order : of no importance.
module popcount_chain #(
  parameter  int unsigned N          = 24,
  parameter  int unsigned BaseMax    = 1,
  localparam int unsigned BaseWidth  = $clog2(BaseMax + 1),
  localparam int unsigned CountWidth = $clog2(BaseMax + N + 1)
) (
  input  logic                  clk_i,
  input  logic                  en_i,
  input  logic [BaseWidth-1:0]  base_i,
  input  logic [N-1:0]          bits_i,
  output logic [CountWidth-1:0] count_o
);

  if (N == 0 || N > 24 || BaseMax == 0) begin : gen_check_n
    $error("popcount_chain: N must be 1 .. 24 and BaseMax at least 1");
  end

  localparam int unsigned Adders = (N + 5) / 6;

  // Adder g takes bit g of six words, so that a simulator counts for all of them at once. Those
  // from the third on come a cycle later, as the sum that they go on with.
  logic [5:0][Adders-1:0] six, add;
  assign six = (6*Adders)'(bits_i);
  if (Adders > 2) begin : gen_late
    logic [5:0][Adders-1:2] six_q;
    always_ff @(posedge clk_i) begin
      if (en_i) begin
        for (int unsigned i = 0; i < 6; i++) six_q[i] <= six[i][Adders-1:2];
      end
    end
    for (genvar i = 0; i < 6; i++) begin : gen_add
      assign add[i] = {six_q[i], six[i][1:0]};
    end
  end else begin : gen_at_once
    assign add = six;
  end

  // Ones among the first five bits: two full adders, one LUT5 for each bit of the result.
  logic [Adders-1:0]      low, carry, last;
  logic [2:0][Adders-1:0] five;
  assign low   = add[0] ^ add[1] ^ add[2];
  assign carry = (add[0] & add[1]) | (add[2] & (add[0] | add[1]));
  assign last  = (low & add[3]) | (add[4] & (low | add[3]));
  assign five  = {carry & last, carry ^ last, low ^ add[3] ^ add[4]};

  logic [CountWidth-1:0] count [Adders+1];
  logic [CountWidth-1:0] count_q;
  assign count[0] = CountWidth'(base_i);
  assign count_o  = count_q;

  for (genvar g = 0; g < Adders; g++) begin : gen_adder
    localparam int unsigned Most  = BaseMax + ((6 * g + 6 < N) ? 6 * g + 6 : N);
    localparam int unsigned Width = $clog2(Most + 1);
    localparam int unsigned Low   = (Width < 3) ? Width : 3;

    logic [CountWidth-1:0] sum;
    if (g == 2) begin : gen_cut
      logic [CountWidth-1:0] sum_q;
      always_ff @(posedge clk_i) begin
        if (en_i) sum_q <= count[g];
      end
      assign sum = sum_q;
    end else begin : gen_on
      assign sum = count[g];
    end

    // The carry-in stands below both operands. One operand is what is ready, the low bits of the
    // running count; the other is what the LUTs make, and the bits above: so the carry multiplexers
    // take a ready bit and need no LUT of their own. Yosys gives them the narrower operand.
    logic [Width-1:0] ready, made, total;
    logic             unused_carry_in;
    assign ready = Width'(sum[Low-1:0]);
    assign made  = Width'({sum >> Low, Low'({five[2][g], five[1][g], five[0][g]})});
    assign {total, unused_carry_in} = {ready, add[5][g]} + {made, add[5][g]};
    assign count[g+1] = CountWidth'(total);
  end

  always_ff @(posedge clk_i) begin
    if (en_i) count_q <= count[Adders];
  end

endmodule
