// SPDX-License-Identifier: Apache-2.0
//
// Number of ones in a vector, pipelined, in each of several lanes: one chain of compressing adders,
// or two halves and an adder.
//
// Latency   : popcount_pkg::tree_latency(N) cycles with en_i.
// Bit order : lane l in bits l*Stride and up, of which those that are not needed are zero. Within
//             bits_i of no importance.

`default_nettype none

module popcount #(
  parameter int unsigned N      = 25,
  parameter int unsigned Lanes  = 1,
  parameter int unsigned Stride = 25
) (
  input  wire                     clk_i,
  input  wire                     en_i,
  input  wire  [Lanes*Stride-1:0] bits_i,
  output logic [Lanes*Stride-1:0] count_o
);

  if (N < 2 || Lanes == 0) begin : gen_check_n
    $error("popcount: N must be at least 2, Lanes at least 1");
  end
  if (Stride < N) begin : gen_check_stride
    $error("popcount: Stride must hold the N bits");
  end

  typedef logic [Lanes*Stride-1:0] word_t;

  if (N <= popcount_pkg::ChainBits + 1) begin : gen_chain
    localparam word_t First = {Lanes{Stride'(1)}};
    localparam word_t Rest  = {Lanes{(Stride'(1) << (N - 1)) - Stride'(1)}};
    popcount_chain #(.N(N - 1), .Lanes(Lanes), .Stride(Stride)) i_chain (
      .clk_i,
      .en_i,
      .base_i  (bits_i & First),
      .bits_i  ((bits_i >> 1) & Rest),
      .count_o
    );
  end else begin : gen_tree
    localparam int unsigned Half       = (N + 1) / 2;
    localparam int unsigned HalfWidth  = $clog2(Half + 1);
    localparam int unsigned CountWidth = $clog2(N + 1);
    // A lane alone gets as narrow as its halves, for the sake of a simulator's words.
    localparam int unsigned Fitting    = (Half > HalfWidth) ? Half : HalfWidth + 1;
    localparam int unsigned Inner      = (Lanes == 1 && Fitting < Stride) ? Fitting : Stride;
    typedef logic [Lanes*Inner-1:0] half_t;
    localparam half_t       Lower      = {Lanes{(Inner'(1) << Half) - Inner'(1)}};
    localparam half_t       Upper      = {Lanes{(Inner'(1) << (N - Half)) - Inner'(1)}};

    half_t part [2];
    word_t count_q;
    if (Lanes == 1 && 2 * Inner <= 64) begin : gen_abreast
      // Both halves in one of a simulator's words, the upper one perhaps with a zero more.
      popcount #(.N(Half), .Lanes(2), .Stride(Inner)) i_halves (
        .clk_i, .en_i,
        .bits_i ({half_t'(bits_i >> Half) & Upper, half_t'(bits_i) & Lower}),
        .count_o({part[1], part[0]})
      );
    end else begin : gen_apart
      popcount #(.N(Half), .Lanes(Lanes), .Stride(Inner)) i_lower (
        .clk_i, .en_i, .bits_i(half_t'(bits_i) & Lower), .count_o(part[0])
      );
      popcount #(.N(Half), .Lanes(Lanes), .Stride(Inner)) i_upper (
        .clk_i, .en_i, .bits_i(half_t'(bits_i >> Half) & Upper), .count_o(part[1])
      );
    end

    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          count_q[l*Stride+:Stride] <= Stride'(CountWidth'(part[0][l*Inner+:HalfWidth])
                                     + CountWidth'(part[1][l*Inner+:HalfWidth]));
        end
      end
    end
    assign count_o = count_q;
  end

endmodule

`default_nettype wire
