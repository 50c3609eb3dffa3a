// SPDX-License-Identifier: Apache-2.0
//
// Pooling of the windows of FINN's ConvolutionInputGenerator with depthwise = 1.
//
// Input: for each output pixel, for each group of PE channels, the WindowBeats beats of the window.
// Output: one beat of PE results for each group, i.e. Channels/PE beats a pixel.
// Func 0: sum >> Shift (arithmetic, floor); Shift = 0 gives the plain sum. Func 1: maximum.
// A bipolar maximum is the unsigned 1-bit one.
//
// Latency 1 cycle after the last beat of a window, one input beat a cycle: the next window is
// accumulated while a result waits.

`default_nettype none

module window_pool #(
  parameter int unsigned PE = 1,
  parameter int unsigned InWidth = 4,      // bits of an input element
  parameter int unsigned OutWidth = 4,     // bits of an output element
  parameter bit Signed = 1'b1,             // elements are two's complement
  parameter int unsigned WindowBeats = 4,  // K*K
  parameter int unsigned Channels = 1,
  parameter int unsigned Func = 0,         // 0 average or sum, 1 maximum
  parameter int unsigned Shift = 2         // right shift of the sum (Func 0)
) (
  input  wire                              ap_clk,
  input  wire                              ap_rst_n,
  input  wire  [8*((PE*InWidth+7)/8)-1:0]  in0_V_TDATA,
  input  wire                              in0_V_TVALID,
  output logic                             in0_V_TREADY,
  output logic [8*((PE*OutWidth+7)/8)-1:0] out0_V_TDATA,
  output logic                             out0_V_TVALID,
  input  wire                              out0_V_TREADY
);

  // Bits of the largest sum (of the most negative one, when signed).
  localparam int unsigned SumWidth = Signed ?
      InWidth + $clog2(WindowBeats) : $clog2(WindowBeats * ((64'd1 << InWidth) - 64'd1) + 64'd1);
  localparam int unsigned AccWidth = Func == 1 ? InWidth : SumWidth;
  localparam int unsigned Drop = Func == 1 ? 0 : Shift;
  localparam int unsigned KeptWidth = Drop < AccWidth ? AccWidth - Drop : 1;
  localparam int unsigned CountWidth = WindowBeats > 1 ? $clog2(WindowBeats) : 1;
  // Where an accumulator starts: 0 for a sum, the least value for a maximum.
  localparam logic [AccWidth-1:0] Start = Func == 1 && Signed ? {1'b1, {AccWidth - 1{1'b0}}} : '0;

  if (PE == 0 || InWidth == 0 || InWidth > 32 || WindowBeats == 0) begin : gen_check_size
    $error("window_pool: PE, InWidth (up to 32) and WindowBeats must be at least 1");
  end
  if (Channels == 0 || Channels % PE != 0) begin : gen_check_channels
    $error("window_pool: PE must divide Channels");
  end
  if (Func > 1) begin : gen_check_func
    $error("window_pool: Func must be 0 (average) or 1 (maximum)");
  end
  if (Drop >= AccWidth || OutWidth < KeptWidth) begin : gen_check_width
    $error("window_pool: Shift must leave a bit and OutWidth hold every result");
  end

  logic [CountWidth-1:0] beat_q;
  logic [PE-1:0][AccWidth-1:0] acc_d, acc_q;
  logic [PE*OutWidth-1:0] result, held;
  logic last_q;  // this beat is the window's last, known in advance
  logic step, ready;

  for (genvar p = 0; p < int'(PE); p++) begin : gen_element
    logic [InWidth-1:0] element;
    logic [AccWidth-1:0] wide;
    logic [KeptWidth-1:0] kept;
    assign element = in0_V_TDATA[p*InWidth+:InWidth];
    assign wide = Signed ? AccWidth'($signed(element)) : AccWidth'(element);

    if (Func == 1) begin : gen_max
      logic greater;
      assign greater = Signed ? $signed(wide) > $signed(acc_q[p]) : wide > acc_q[p];
      assign acc_d[p] = greater ? wide : acc_q[p];
    end else begin : gen_sum
      assign acc_d[p] = acc_q[p] + wide;
    end

    assign kept = acc_d[p][AccWidth-1-:KeptWidth];  // dropping bits of two's complement is floor
    assign result[p*OutWidth+:OutWidth] =
        Signed ? OutWidth'($signed(kept)) : OutWidth'(kept);
  end

  assign in0_V_TREADY = ready || !last_q;
  assign step         = in0_V_TVALID && in0_V_TREADY;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  // Starting over is the flip-flops' own reset: it costs no LUT.
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n || (step && last_q)) begin
      beat_q <= '0;
      last_q <= WindowBeats == 1;
      acc_q  <= {PE{Start}};
    end else if (step) begin
      beat_q <= beat_q + CountWidth'(1);
      last_q <= beat_q == CountWidth'(WindowBeats - 32'd2);
      acc_q  <= acc_d;
    end
  end

  stream_register #(.Width(PE * OutWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (result),
    .valid_i(in0_V_TVALID && last_q),
    .ready_o(ready),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && step) begin
      assert_beat_range : assert (32'(beat_q) < WindowBeats)
      else $error("%m: more beats than a window has");
    end
  end
  beat_ledger #(.InBeats(WindowBeats), .Most(2 * WindowBeats - 1)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(step),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
