// SPDX-License-Identifier: Apache-2.0
//
// One register in a valid/ready stream.
//
// Latency 1 cycle, one beat a cycle. ready_o depends on ready_i through one gate; valid_o and
// data_o come straight from flip-flops. Width flip-flops and no data LUT: the stream FIFOs cut
// the ready chain, so a second (skid) entry in every cell would only double the area.

`default_nettype none

module stream_register #(
  parameter int unsigned Width = 8
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire  [Width-1:0] data_i,
  input  wire              valid_i,
  output logic             ready_o,
  output logic [Width-1:0] data_o,
  output logic             valid_o,
  input  wire              ready_i
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
  stream_monitor #(.Width(Width)) i_monitor (
    .clk_i,
    .rst_ni,
    .data_i (data_o),
    .valid_i(valid_o),
    .ready_i
  );
  beat_ledger i_ledger (
    .clk_i,
    .rst_ni,
    .taken_i(valid_i && ready_o),
    .valid_i(valid_o),
    .ready_i
  );
`endif

endmodule

`default_nettype wire
