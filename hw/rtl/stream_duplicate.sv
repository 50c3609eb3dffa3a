// SPDX-License-Identifier: Apache-2.0
//
// Copies one stream to NumOutputs streams.
//
// Every output takes the beat when it likes; the next one follows when the last output has. A beat
// that comes meanwhile waits in a second register, so that ready_o comes from a flip-flop: chains
// of ready, which a fork would join, end here. Latency 1 cycle, one beat a cycle while nobody
// stalls. The data is stored once for all outputs.
//
// data_o, valid_o, ready_i: output i is element i of the packed vector.

`default_nettype none

module stream_duplicate #(
  parameter int unsigned Width = 8,      // bits of a beat
  parameter int unsigned NumOutputs = 2  // 2..8
) (
  input  wire                              clk_i,
  input  wire                              rst_ni,
  input  wire  [Width-1:0]                 data_i,
  input  wire                              valid_i,
  output logic                             ready_o,
  output logic [NumOutputs-1:0][Width-1:0] data_o,
  output logic [NumOutputs-1:0]            valid_o,
  input  wire  [NumOutputs-1:0]            ready_i
);

  if (Width == 0) begin : gen_check_width
    $error("stream_duplicate: Width must be at least 1");
  end
  if (NumOutputs < 2 || NumOutputs > 8) begin : gen_check_outputs
    $error("stream_duplicate: NumOutputs must be 2..8");
  end

  logic [NumOutputs-1:0] pending_q;  // outputs that have not taken the stored beat
  logic free_q;                      // there is no beat in the second register
  logic [Width-1:0] data_q, second_q;
  logic taken;                       // by all outputs

  assign taken   = &(~pending_q | ready_i);
  assign ready_o = free_q;
  assign valid_o = pending_q;
  assign data_o  = {NumOutputs{data_q}};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      pending_q <= '0;
      free_q    <= 1'b1;
    end else begin
      pending_q <= taken ? {NumOutputs{valid_i || !free_q}} : pending_q & ~ready_i;
      free_q    <= taken || (free_q && !valid_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (taken) data_q <= free_q ? data_i : second_q;
    if (free_q) second_q <= data_i;
  end

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && !free_q) begin
      assert_order : assert (pending_q != '0)
      else $error("%m: a beat waits while every output has taken the one before");
    end
  end
  for (genvar i = 0; i < int'(NumOutputs); i++) begin : gen_monitor
    stream_monitor #(.Width(Width)) i_monitor (
      .clk_i,
      .rst_ni,
      .data_i (data_o[i]),
      .valid_i(valid_o[i]),
      .ready_i(ready_i[i])
    );
    beat_ledger #(.Most(2)) i_ledger (
      .clk_i,
      .rst_ni,
      .taken_i(valid_i && ready_o),
      .valid_i(valid_o[i]),
      .ready_i(ready_i[i])
    );
  end
`endif

endmodule

`default_nettype wire
