// SPDX-License-Identifier: Apache-2.0
//
// What every stream promises, for simulation only: a beat that is offered stays until it is taken.
//
// Not concurrent assertions: for those, a simulator copies the data at every edge of the clock.

`default_nettype none

module stream_monitor #(
  parameter int unsigned Width = 8
) (
  input wire             clk_i,
  input wire             rst_ni,
  input wire [Width-1:0] data_i,
  input wire             valid_i,
  input wire             ready_i
);

  if (Width == 0) begin : gen_check_width
    $error("stream_monitor: Width must be at least 1");
  end

`ifndef SYNTHESIS
  logic             stalled_q;
  logic [Width-1:0] data_q;

  always_ff @(posedge clk_i) begin
    stalled_q <= rst_ni && valid_i && !ready_i;
    if (valid_i && !ready_i) data_q <= data_i;
    if (rst_ni && stalled_q) begin
      assert_valid_held : assert (valid_i)
      else $error("%m: valid fell before the beat was taken");
      assert_data_held : assert (data_i == data_q)
      else $error("%m: beat changed before it was taken");
    end
  end
`endif

endmodule

`default_nettype wire
