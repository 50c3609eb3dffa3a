// SPDX-License-Identifier: Apache-2.0
//
// Number of ones in a vector, pipelined, after as many cycles as its user wants.
//
// Latency   : Latency cycles with en_i, at least popcount_pkg::tree_latency(N).
// Bit order : of no importance.

`default_nettype none

module popcount_delayed #(
  parameter int unsigned N       = 18,
  parameter int unsigned Latency = popcount_pkg::tree_latency(N)
) (
  input  wire                    clk_i,
  input  wire                    en_i,
  input  wire  [N-1:0]           bits_i,
  output logic [$clog2(N+1)-1:0] count_o
);

  if (N == 0 || Latency < popcount_pkg::tree_latency(N)) begin : gen_check_latency
    $error("popcount_delayed: N must be at least 1, Latency that of the popcount or more");
  end

  localparam int unsigned Width = $clog2(N + 1);
  localparam int unsigned Late  = Latency - popcount_pkg::tree_latency(N);

  logic [Width-1:0] count;
  if (N == 1) begin : gen_bit
    assign count = bits_i;
  end else begin : gen_count
    localparam int unsigned Stride = (N > Width) ? N : Width + 1;
    logic [Stride-1:0] whole;
    logic              unused;  // the upper bits
    assign unused = &{1'b0, whole};
    popcount #(.N(N), .Lanes(1), .Stride(Stride)) i_popcount (
      .clk_i, .en_i, .bits_i(Stride'(bits_i)), .count_o(whole)
    );
    assign count = whole[Width-1:0];
  end

  if (Late == 0) begin : gen_at_once
    assign count_o = count;
  end else begin : gen_late
    logic [Late-1:0][Width-1:0] count_q;
    always_ff @(posedge clk_i) begin
      if (en_i) count_q <= (Late*Width)'({count_q, count});
    end
    assign count_o = count_q[Late-1];
  end

endmodule

`default_nettype wire
