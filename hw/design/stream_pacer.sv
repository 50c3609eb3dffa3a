// SPDX-License-Identifier: Apache-2.0
//
// Lets the beats of a stream through at an even rate; for simulation only.
//
// rate_i: beats a cycle as a fraction of 2^32, read during reset; 0 lets everything through.

`default_nettype none

module stream_pacer #(
  parameter int unsigned Width = 8
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [31:0]      rate_i,
  input  wire  [Width-1:0] in0_V_TDATA,
  input  wire              in0_V_TVALID,
  output logic             in0_V_TREADY,
  output logic [Width-1:0] out0_V_TDATA,
  output logic             out0_V_TVALID,
  input  wire              out0_V_TREADY
);

  logic [32:0] credit_q;  // one beat is 2^32
  logic [31:0] rate_q;

  logic open;

  assign open          = rate_q == '0 || credit_q[32];
  assign in0_V_TREADY  = open && out0_V_TREADY;
  assign out0_V_TVALID = open && in0_V_TVALID;
  assign out0_V_TDATA  = in0_V_TDATA;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      rate_q   <= rate_i;
      credit_q <= {1'b1, 32'd0};
    end else if (!credit_q[32]) credit_q <= credit_q + 33'(rate_q);
    else if (in0_V_TVALID && in0_V_TREADY) credit_q <= {1'b0, credit_q[31:0]} + 33'(rate_q);
  end

endmodule

`default_nettype wire
