// SPDX-License-Identifier: Apache-2.0
//
// One of several loops inside each other: 0 .. Count - 1, and whether this is the last, known in
// advance so that the loops around it are a gate away from flip-flops.

`default_nettype none

module loop_counter #(
  parameter  int unsigned Count = 4,
  localparam int unsigned Width = (Count > 1) ? $clog2(Count) : 1
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              step_i,
  output logic [Width-1:0] value_o,
  output logic             last_o
);

  if (Count == 0) begin : gen_check_count
    $error("loop_counter: Count must be at least 1");
  end

  // Without a carry chain: so few bits are less deep in LUTs.
  logic [Width-1:0] after;
  for (genvar i = 0; i < int'(Width); i++) begin : gen_bit
    assign after[i] = value_o[i] ^ (&(value_o | (~Width'(0) << i)));
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      value_o <= '0;
      last_o  <= Count == 1;
    end else if (step_i) begin
      value_o <= last_o ? '0 : after;
      last_o  <= Count == 1 || value_o == Width'(Count - 2);
    end
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && step_i) begin
      assert_last : assert (last_o == (32'(value_o) == Count - 1))
      else $error("%m: the end of the loop is where it is not");
    end
  end
`endif

endmodule

`default_nettype wire
