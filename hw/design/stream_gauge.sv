// SPDX-License-Identifier: Apache-2.0
//
// A FIFO for simulation only: its capacity is a port, its fill is visible.
//
// Stands where a FIFO may later be inserted, so that one compiled design serves every choice of
// depths. limit_i beats fit (at most Depth; read during reset); limit_i = 0 makes it a wire. As
// with FINN's fifo, a beat comes out two cycles after it went in, and ready does not depend on the
// other side in the same cycle.
// level_o: beats held now (as a wire: beats waiting), peak_o: the most held since reset.

`default_nettype none

module stream_gauge #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 1024
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [31:0]      limit_i,
  output logic [31:0]      level_o,
  output logic [31:0]      peak_o,
  input  wire  [Width-1:0] in0_V_TDATA,
  input  wire              in0_V_TVALID,
  output logic             in0_V_TREADY,
  output logic [Width-1:0] out0_V_TDATA,
  output logic             out0_V_TVALID,
  input  wire              out0_V_TREADY
);

  logic [Width-1:0] memory[Depth];
  logic [Width-1:0] data_q;
  logic [31:0] limit_q, stored_q, write_q, read_q, peak_q;
  logic valid_q;
  logic [31:0] held;
  logic bypass, push, load;

  assign held   = stored_q + 32'(valid_q);
  assign bypass = limit_q == '0;
  assign push   = in0_V_TVALID && held < limit_q;
  assign load   = stored_q != '0 && (!valid_q || out0_V_TREADY);

  assign level_o       = bypass ? 32'(in0_V_TVALID) : held;
  assign peak_o        = peak_q;
  assign in0_V_TREADY  = bypass ? out0_V_TREADY : held < limit_q;
  assign out0_V_TVALID = bypass ? in0_V_TVALID : valid_q;
  assign out0_V_TDATA  = bypass ? in0_V_TDATA : data_q;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      limit_q  <= limit_i;
      stored_q <= '0;
      write_q  <= '0;
      read_q   <= '0;
      valid_q  <= 1'b0;
      peak_q   <= '0;
    end else begin
      stored_q <= stored_q + 32'(push) - 32'(load);
      if (push) write_q <= write_q == limit_q - 1 ? '0 : write_q + 1;
      if (load) read_q <= read_q == limit_q - 1 ? '0 : read_q + 1;
      if (load) valid_q <= 1'b1;
      else if (out0_V_TREADY) valid_q <= 1'b0;
      if (held > peak_q) peak_q <= held;
    end
  end

  always_ff @(posedge ap_clk) begin
    if (push) memory[write_q] <= in0_V_TDATA;
    if (load) data_q <= memory[read_q];
  end

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n) begin
      assert_fill_range : assert (held <= limit_q && limit_q <= Depth)
      else $error("%m: more beats than fit");
    end
  end
`endif

endmodule

`default_nettype wire
