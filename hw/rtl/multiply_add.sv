// SPDX-License-Identifier: Apache-2.0
//
// A product and an addend, signed, with the registers of a DSP block:
//
//   total_o = a_i * b_i + c_i
//
// Latency : 3 cycles with enable_i. The addend waits for the product in a register outside of the
//           block.

`default_nettype none

module multiply_add #(
  parameter  int unsigned AWidth     = 9,
  parameter  int unsigned BWidth     = 13,
  parameter  int unsigned CWidth     = 20,
  localparam int unsigned TotalWidth = ((AWidth + BWidth > CWidth) ? AWidth + BWidth : CWidth) + 1
) (
  input  wire                   clk_i,
  input  wire                   enable_i,
  input  wire  [AWidth-1:0]     a_i,
  input  wire  [BWidth-1:0]     b_i,
  input  wire  [CWidth-1:0]     c_i,
  output logic [TotalWidth-1:0] total_o
);

  // The multiplier of a 7-series DSP block has 25 x 18 bits, its adder 48.
  if (AWidth > 25 || BWidth > 25 || (AWidth > 18 && BWidth > 18)) begin : gen_check_product
    $error("multiply_add: a factor can have up to 25 bits, the other up to 18");
  end
  if (TotalWidth > 48) begin : gen_check_total
    $error("multiply_add: the total must have at most 48 bits");
  end

  // The names are the block's.
  logic signed [AWidth-1:0]        a_q;
  logic signed [BWidth-1:0]        b_q;
  logic signed [AWidth+BWidth-1:0] m_q;
  logic signed [CWidth-1:0]        wait_q, c_q;
  logic signed [TotalWidth-1:0]    p_q;
  assign total_o = p_q;
  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      a_q    <= signed'(a_i);
      b_q    <= signed'(b_i);
      wait_q <= signed'(c_i);
      m_q    <= a_q * b_q;
      c_q    <= wait_q;
      p_q    <= TotalWidth'(m_q) + TotalWidth'(c_q);
    end
  end

endmodule

`default_nettype wire
