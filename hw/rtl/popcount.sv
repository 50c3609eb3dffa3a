// SPDX-License-Identifier: Apache-2.0
//
// Number of ones in a vector, pipelined: one chain of compressing adders, or two halves and an
// adder.
//
// Latency   : P(N) = 1 for N <= 13, 2 for N <= 25, 1 + P(ceil(N / 2)) above; in cycles with en_i.
// Bit order : of no importance.
module popcount #(
  parameter  int unsigned N          = 25,
  localparam int unsigned CountWidth = $clog2(N + 1)
) (
  input  logic                  clk_i,
  input  logic                  en_i,
  input  logic [N-1:0]          bits_i,
  output logic [CountWidth-1:0] count_o
);

  if (N < 2) begin : gen_check_n
    $error("popcount: N must be at least 2");
  end

  if (N <= 25) begin : gen_chain
    popcount_chain #(.N(N - 1)) i_chain (
      .clk_i,
      .en_i,
      .base_i  (bits_i[0]),
      .bits_i  (bits_i[N-1:1]),
      .count_o
    );
  end else begin : gen_tree
    localparam int unsigned Half      = (N + 1) / 2;
    localparam int unsigned HalfWidth = $clog2(Half + 1);

    logic [1:0][Half-1:0]      bits;
    logic [1:0][HalfWidth-1:0] part;
    logic [CountWidth-1:0]     count_q;
    assign bits = (2*Half)'(bits_i);

    for (genvar h = 0; h < 2; h++) begin : gen_half
      popcount #(.N(Half)) i_half (.clk_i, .en_i, .bits_i(bits[h]), .count_o(part[h]));
    end

    always_ff @(posedge clk_i) begin
      if (en_i) count_q <= CountWidth'(part[0]) + CountWidth'(part[1]);
    end
    assign count_o = count_q;
  end

endmodule
