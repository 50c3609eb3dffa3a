// SPDX-License-Identifier: Apache-2.0
//
// For each of PE neurons the number of positions out of N, of which groups of three come compressed
// to a sum and a carry bit each.
//
// Latency   : popcount_pkg::xnor_latency(N) cycles with en_i.
// Bit order : sums_i[pe][group], carries_i[pe][group], counts_o[pe].

`default_nettype none

module popcount_groups #(
  parameter int unsigned N  = 64,
  parameter int unsigned PE = 4
) (
  input  wire                                            clk_i,
  input  wire                                            en_i,
  input  wire  [PE-1:0][popcount_pkg::groups(N)-1:0]     sums_i,
  input  wire  [PE-1:0][popcount_pkg::groups(N)-1:0]     carries_i,
  output logic [PE-1:0][$clog2(N+1)-1:0]                 counts_o
);

  if (N == 0 || PE == 0) begin : gen_check_n
    $error("popcount_groups: N and PE must be at least 1");
  end

  // As many neurons side by side as fit into a simulator's word of 64 bits.
  localparam int unsigned Groups  = popcount_pkg::groups(N);
  localparam int unsigned Width   = $clog2(N + 1);
  localparam int unsigned Stride  = (Groups > Width) ? Groups : Width + 1;
  localparam int unsigned Abreast = (Stride < 64) ? 64 / Stride : 1;

  for (genvar p = 0; p < PE; p += Abreast) begin : gen_abreast
    localparam int unsigned Lanes = (PE - p < Abreast) ? PE - p : Abreast;
    logic [Lanes-1:0][Stride-1:0] sums_q, carries_q, counts;
    logic                         unused;  // the upper bits of a lane
    assign unused = &{1'b0, counts};
    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      always_ff @(posedge clk_i) begin
        if (en_i) begin
          sums_q[l]    <= Stride'(sums_i[p+l]);
          carries_q[l] <= Stride'(carries_i[p+l]);
        end
      end
      assign counts_o[p+l] = counts[l][Width-1:0];
    end
    popcount_columns #(.N(N), .Lanes(Lanes), .Stride(Stride)) i_columns (
      .clk_i, .en_i, .sums_i(sums_q), .carries_i(carries_q), .count_o(counts)
    );
  end

endmodule

`default_nettype wire
