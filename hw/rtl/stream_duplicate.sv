// SPDX-License-Identifier: Apache-2.0
//
// Copies one stream to NumOutputs streams.
//
// Every output takes the beat when it likes; the next input beat enters in the cycle in which the
// last output takes the current one. Latency 1 cycle, one beat a cycle while nobody stalls.
// The data is stored once: Width + NumOutputs flip-flops.
//
// m_tdata, m_tvalid, m_tready: output i is element i of the packed vector.

`default_nettype none

module stream_duplicate #(
    parameter int unsigned Width = 8,      // bits of a beat
    parameter int unsigned NumOutputs = 2  // 2..8
) (
    input  logic                             ap_clk,
    input  logic                             ap_rst_n,
    input  logic [Width-1:0]                 s_tdata,
    input  logic                             s_tvalid,
    output logic                             s_tready,
    output logic [NumOutputs-1:0][Width-1:0] m_tdata,
    output logic [NumOutputs-1:0]            m_tvalid,
    input  logic [NumOutputs-1:0]            m_tready
);
  if (Width == 0) begin : gen_check_width
    $error("stream_duplicate: Width must be at least 1");
  end
  if (NumOutputs < 2 || NumOutputs > 8) begin : gen_check_outputs
    $error("stream_duplicate: NumOutputs must be 2..8");
  end

  logic [NumOutputs-1:0] pending_q;  // outputs that have not taken the stored beat
  logic [Width-1:0] data_q;

  assign s_tready = &(~pending_q | m_tready);
  assign m_tvalid = pending_q;
  assign m_tdata  = {NumOutputs{data_q}};

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) pending_q <= '0;
    else if (s_tready) pending_q <= {NumOutputs{s_tvalid}};
    else pending_q <= pending_q & ~m_tready;
  end

  always_ff @(posedge ap_clk) begin
    if (s_tready) data_q <= s_tdata;
  end

`ifndef SYNTHESIS
  // Not a concurrent assertion: for one, a simulator copies the data at every edge of the clock.
  logic stalled_q;
  logic [Width-1:0] stalled_data_q;
  always_ff @(posedge ap_clk) begin
    stalled_q <= ap_rst_n && |(m_tvalid & ~m_tready);
    if (|(m_tvalid & ~m_tready)) stalled_data_q <= data_q;
    if (ap_rst_n && stalled_q) begin
      assert_held : assert (data_q == stalled_data_q)
      else $error("stream_duplicate: beat changed before every output took it");
    end
  end
`endif
endmodule

`default_nettype wire
