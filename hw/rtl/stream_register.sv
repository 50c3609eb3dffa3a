// SPDX-License-Identifier: Apache-2.0
//
// One register in a valid/ready stream.
//
// Latency 1 cycle, one beat a cycle. ready_o depends on ready_i through one gate; valid_o and
// data_o come straight from flip-flops. Width flip-flops and no data LUT: FINN's stream FIFOs cut
// the ready chain, so a second (skid) entry in every cell would only double the area.

`default_nettype none

module stream_register #(
    parameter int unsigned Width = 8
) (
    input  logic             clk_i,
    input  logic             rst_ni,
    input  logic [Width-1:0] data_i,
    input  logic             valid_i,
    output logic             ready_o,
    output logic [Width-1:0] data_o,
    output logic             valid_o,
    input  logic             ready_i
);
  if (Width == 0) begin : gen_check_width
    $error("stream_register: Width must be at least 1");
  end

  logic valid_q;
  logic [Width-1:0] data_q;

  assign ready_o = !valid_q || ready_i;
  assign valid_o = valid_q;
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= 1'b0;
    else if (ready_o) valid_q <= valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (ready_o) data_q <= data_i;
  end

`ifndef SYNTHESIS
  // Not a concurrent assertion: for one, a simulator copies the data at every edge of the clock.
  logic stalled_q;
  logic [Width-1:0] stalled_data_q;
  always_ff @(posedge clk_i) begin
    stalled_q <= rst_ni && valid_o && !ready_i;
    if (valid_o && !ready_i) stalled_data_q <= data_o;
    if (rst_ni && stalled_q) begin
      assert_held : assert (valid_o && data_o == stalled_data_q)
      else $error("stream_register: beat dropped or changed while stalled");
    end
  end
`endif
endmodule

`default_nettype wire
