// SPDX-License-Identifier: Apache-2.0
//
// Sum over the Pixels pixels of a frame, for every channel.
//
// Input: Pixels x Channels/PE beats a frame; output: Channels/PE beats. The sum of a channel group
// leaves as its last pixel enters (latency 1 cycle), so frames follow each other without a gap,
// one beat a cycle, and one accumulator per channel is enough.

`default_nettype none

module global_acc_pool #(
  parameter int unsigned Channels = 64,
  parameter int unsigned PE = 1,
  parameter int unsigned InWidth = 4,    // bits of an input element
  parameter int unsigned OutWidth = 10,  // bits of a sum
  parameter bit Signed = 1'b1,           // elements are two's complement
  parameter int unsigned Pixels = 64     // pixels of a frame
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
      InWidth + $clog2(Pixels) : $clog2(Pixels * ((64'd1 << InWidth) - 64'd1) + 64'd1);
  localparam int unsigned Folds = PE == 0 ? 1 : Channels / PE;
  localparam int unsigned FoldWidth = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned PixelWidth = Pixels > 1 ? $clog2(Pixels) : 1;

  if (PE == 0 || InWidth == 0 || InWidth > 32 || Pixels == 0) begin : gen_check_size
    $error("global_acc_pool: PE, InWidth (up to 32) and Pixels must be at least 1");
  end
  if (Channels == 0 || PE == 0 || Channels % PE != 0) begin : gen_check_channels
    $error("global_acc_pool: PE must divide Channels");
  end
  if (OutWidth < SumWidth) begin : gen_check_width
    $error("global_acc_pool: OutWidth must hold every sum");
  end

  logic [FoldWidth-1:0] fold_q;
  logic [PixelWidth-1:0] pixel_q;
  logic [PE*SumWidth-1:0] sums[Folds];  // distributed RAM: read and written in the same cycle
  logic [PE*SumWidth-1:0] prior, after;
  logic [PE*OutWidth-1:0] result, held;
  logic first_q, last_q;  // this pixel is the frame's first, its last; known in advance
  logic step, ready;

  for (genvar p = 0; p < int'(PE); p++) begin : gen_element
    logic [InWidth-1:0] element;
    logic [SumWidth-1:0] wide, sum;
    assign element = in0_V_TDATA[p*InWidth+:InWidth];
    assign wide = Signed ? SumWidth'($signed(element)) : SumWidth'(element);
    assign sum = wide + prior[p*SumWidth+:SumWidth];
    assign after[p*SumWidth+:SumWidth] = sum;
    assign result[p*OutWidth+:OutWidth] = Signed ? OutWidth'($signed(sum)) : OutWidth'(sum);
  end

  assign prior        = first_q ? '0 : sums[fold_q];
  assign in0_V_TREADY = ready || !last_q;
  assign step         = in0_V_TVALID && in0_V_TREADY;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  always_ff @(posedge ap_clk) begin
    if (step) sums[fold_q] <= after;
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q  <= '0;
      pixel_q <= '0;
      first_q <= 1'b1;
      last_q  <= Pixels == 1;
    end else if (step) begin
      fold_q <= fold_q + FoldWidth'(1);
      if (fold_q == FoldWidth'(Folds - 32'd1)) begin
        fold_q  <= '0;
        pixel_q <= last_q ? '0 : pixel_q + PixelWidth'(1);
        first_q <= last_q;
        last_q  <= Pixels == 1 || pixel_q == PixelWidth'(Pixels - 32'd2);
      end
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
      assert_fold_range : assert (32'(fold_q) < Folds)
      else $error("%m: more beats than a pixel has");
      assert_pixel_range : assert (32'(pixel_q) < Pixels)
      else $error("%m: more pixels than a frame has");
    end
  end
  beat_ledger #(
    .InBeats(Pixels * Folds),
    .OutBeats(Folds),
    .First((Pixels - 1) * Folds + 1),
    .Step(1),
    .Most((2 * Pixels - 1) * Folds)
  ) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(step),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
