// SPDX-License-Identifier: Apache-2.0
//
// Number of positions out of N, of which groups of three have been compressed to a sum and a carry
// bit each: count = sums + 2 * carries, pipelined, in one chain over both or in two side by side.
//
// Latency     : 1 less than popcount_pkg::xnor_latency(N) cycles with en_i.
// Bit order   : lane l in bits l*Stride and up, of which those that are not needed are zero. The
//               order of the groups is of no importance.

`default_nettype none

module popcount_columns #(
  parameter int unsigned N      = 64,
  parameter int unsigned Lanes  = 1,
  parameter int unsigned Stride = 22
) (
  input  wire                     clk_i,
  input  wire                     en_i,
  input  wire  [Lanes*Stride-1:0] sums_i,
  input  wire  [Lanes*Stride-1:0] carries_i,
  output logic [Lanes*Stride-1:0] count_o
);

  localparam int unsigned Groups = popcount_pkg::groups(N);

  if (Stride < Groups || Stride <= $clog2(N + 1)) begin : gen_check_stride
    $error("popcount_columns: Stride must hold a bit for each group, and one more than the count");
  end

  typedef logic [Lanes*Stride-1:0] word_t;

  if (Groups == 1) begin : gen_single
    logic unused;
    assign unused  = &{1'b0, clk_i, en_i};
    assign count_o = (carries_i << 1) | sums_i;
  end else begin : gen_columns
    // Half of the sums, and the carries, are worth two.
    localparam int unsigned SumWidth = $clog2(Groups + 1);
    localparam word_t       First    = {Lanes{Stride'(1)}};
    localparam word_t       Halves   = {Lanes{(Stride'(1) << (SumWidth - 1)) - Stride'(1)}};
    word_t sums, halves, upper, lowest_q;
    logic  unused;  // the upper bits of a lane
    assign unused = &{1'b0, sums, halves};

    popcount #(.N(Groups), .Lanes(Lanes), .Stride(Stride)) i_sums (
      .clk_i, .en_i, .bits_i(sums_i), .count_o(sums)
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
        if (en_i) late_q <= carries_i;
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
        .clk_i, .en_i, .bits_i(carries_i), .count_o(carries)
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
