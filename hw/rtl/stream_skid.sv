// SPDX-License-Identifier: Apache-2.0
//
// The output register of a pipeline that can have a result every cycle, and a second one for the
// result that finds it taken: so ready_i reaches the pipeline's enable through a flip-flop only.
//
// Latency 1 cycle, one beat a cycle. data_i and valid_i stand still while enable_o is low.

`default_nettype none

module stream_skid #(
  parameter int unsigned Width = 8
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire  [Width-1:0] data_i,
  input  wire              valid_i,
  output logic             enable_o,
  output logic [Width-1:0] data_o,
  output logic             valid_o,
  input  wire              ready_i
);

  if (Width == 0) begin : gen_check_width
    $error("stream_skid: Width must be at least 1");
  end

  logic             out_valid_q, skid_valid_q, taken;
  logic [Width-1:0] out_q, skid_q;
  assign taken    = !out_valid_q || ready_i;
  assign enable_o = !skid_valid_q;
  assign valid_o  = out_valid_q;
  assign data_o   = out_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q  <= 1'b0;
      skid_valid_q <= 1'b0;
    end else begin
      if (taken) out_valid_q <= skid_valid_q || valid_i;
      skid_valid_q <= !taken && (skid_valid_q || valid_i);
    end
  end
  always_ff @(posedge clk_i) begin
    if (taken) out_q <= skid_valid_q ? skid_q : data_i;
    if (enable_o) skid_q <= data_i;
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && skid_valid_q) begin
      assert_skid_order : assert (out_valid_q)
      else $error("%m: a result waits while the one before it is lost");
    end
  end
`endif

endmodule

`default_nettype wire
