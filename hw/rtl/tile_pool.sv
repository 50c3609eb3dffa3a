// SPDX-License-Identifier: Apache-2.0
//
// Pooling of windows that do not overlap: each element joins the result of its window as it
// passes, so there is a partial result for each window of a row, and no window generator.
//
// Input: Height x Width pixels in Channels/PE beats each. The windows are tiles of KernelHeight x
// KernelWidth from the upper left; rows and columns beyond the last whole one are left out.
// Output: one beat of PE results for each channel group of each window, pixel by pixel.
// Func 0: sum >> Shift (arithmetic, floor); Shift = 0 gives the plain sum. Func 1: maximum.
// A bipolar maximum is the unsigned 1-bit one.
//
// Latency 1 cycle after the last beat of a window's group, one input beat a cycle, frames without
// a gap; a result that waits stops the cell at the next one. Memory: a row of partial results.

`default_nettype none

module tile_pool #(
  parameter int unsigned PE = 1,
  parameter int unsigned Channels = 1,
  parameter int unsigned InWidth = 4,       // bits of an input element
  parameter int unsigned OutWidth = 4,      // bits of an output element
  parameter bit Signed = 1'b1,              // elements are two's complement
  parameter int unsigned Height = 4,
  parameter int unsigned Width = 4,
  parameter int unsigned KernelHeight = 2,
  parameter int unsigned KernelWidth = 2,
  parameter int unsigned Func = 0,          // 0 average or sum, 1 maximum
  parameter int unsigned Shift = 2          // right shift of the sum (Func 0)
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

  if (PE == 0 || InWidth == 0 || InWidth > 32) begin : gen_check_size
    $error("tile_pool: PE and InWidth (up to 32) must be at least 1");
  end
  if (Channels == 0 || PE == 0 || Channels % PE != 0) begin : gen_check_channels
    $error("tile_pool: PE must divide Channels");
  end
  if (KernelHeight == 0 || Height < KernelHeight) begin : gen_check_rows
    $error("tile_pool: the picture must hold a window of at least one pixel");
  end
  if (KernelWidth == 0 || Width < KernelWidth) begin : gen_check_columns
    $error("tile_pool: the picture must hold a window of at least one pixel");
  end
  if (Func > 1) begin : gen_check_func
    $error("tile_pool: Func must be 0 (average) or 1 (maximum)");
  end

  // Bits of the largest sum (of the most negative one, when signed).
  localparam int unsigned Pixels   = KernelHeight * KernelWidth;
  localparam int unsigned SumWidth = Signed ?
      InWidth + $clog2(Pixels) : $clog2(Pixels * ((64'd1 << InWidth) - 64'd1) + 64'd1);
  localparam int unsigned AccWidth  = Func == 1 ? InWidth : SumWidth;
  localparam int unsigned Drop      = Func == 1 ? 0 : Shift;
  localparam int unsigned KeptWidth = Drop < AccWidth ? AccWidth - Drop : 1;
  if (Drop >= AccWidth || OutWidth < KeptWidth) begin : gen_check_width
    $error("tile_pool: Shift must leave a bit and OutWidth hold every result");
  end

  // Pixels are counted in tiles: x in tile tx, y in tile ty; the last of each may be a part of one.
  localparam int unsigned Rows   = KernelHeight == 0 ? 1 : Height / KernelHeight;
  localparam int unsigned Cols   = KernelWidth == 0 ? 1 : Width / KernelWidth;
  localparam int unsigned LastTx = KernelWidth == 0 ? 0 : (Width - 1) / KernelWidth;
  localparam int unsigned LastX  = KernelWidth == 0 ? 0 : (Width - 1) % KernelWidth;
  localparam int unsigned LastTy = KernelHeight == 0 ? 0 : (Height - 1) / KernelHeight;
  localparam int unsigned LastY  = KernelHeight == 0 ? 0 : (Height - 1) % KernelHeight;
  localparam int unsigned Folds  = PE == 0 ? 1 : Channels / PE;
  localparam int unsigned FoldBits = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned XBits    = KernelWidth > 1 ? $clog2(KernelWidth) : 1;
  localparam int unsigned YBits    = KernelHeight > 1 ? $clog2(KernelHeight) : 1;
  localparam int unsigned TxBits   = LastTx > 0 ? $clog2(LastTx + 1) : 1;
  localparam int unsigned TyBits   = LastTy > 0 ? $clog2(LastTy + 1) : 1;

  logic [FoldBits-1:0] fold_q;
  logic [XBits-1:0] x_q;
  logic [YBits-1:0] y_q;
  logic [TxBits-1:0] tx_q;
  logic [TyBits-1:0] ty_q;
  logic tile_start_q, tile_end_q;  // known in advance, as a tile may be a row of many pixels
  logic step, pixel_end, row_end, band_end, frame_end, whole, first, last, ready;

  assign pixel_end = fold_q == FoldBits'(Folds - 32'd1);
  assign row_end   = (LastTx == 0 || tx_q == TxBits'(LastTx))
                  && (LastX == KernelWidth - 32'd1 ? tile_end_q : x_q == XBits'(LastX));
  assign band_end  = KernelHeight == 1 || y_q == YBits'(KernelHeight - 32'd1);
  assign frame_end = (LastTy == 0 || ty_q == TyBits'(LastTy))
                  && (KernelHeight == 1 || y_q == YBits'(LastY));
  assign whole     = 32'(tx_q) < Cols && 32'(ty_q) < Rows;
  assign first     = tile_start_q && y_q == '0;
  assign last      = tile_end_q && band_end && whole;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q       <= '0;
      x_q          <= '0;
      y_q          <= '0;
      tx_q         <= '0;
      ty_q         <= '0;
      tile_start_q <= 1'b1;
      tile_end_q   <= KernelWidth == 1;
    end else if (step) begin
      fold_q <= pixel_end ? '0 : fold_q + 1'b1;
      if (pixel_end) begin
        x_q <= (row_end || tile_end_q) ? '0 : x_q + 1'b1;
        tile_start_q <= row_end || tile_end_q;
        tile_end_q   <= KernelWidth == 1
                     || (!row_end && !tile_end_q && x_q == XBits'(KernelWidth - 32'd2));
        if (row_end) tx_q <= '0;
        else if (tile_end_q) tx_q <= tx_q + 1'b1;
        if (row_end) begin
          y_q <= (frame_end || band_end) ? '0 : y_q + 1'b1;
          if (frame_end) ty_q <= '0;
          else if (band_end) ty_q <= ty_q + 1'b1;
        end
      end
    end
  end

  // Word {tile, channel group}, read and written in the same cycle.
  localparam int unsigned Words     = Folds > 1 ? Cols << FoldBits : Cols;
  localparam int unsigned WordBits  = Words > 1 ? $clog2(Words) : 1;
  (* ram_style = "distributed" *)
  logic [PE*AccWidth-1:0] partial[Words];
  logic [PE*AccWidth-1:0] prior, after;
  logic [PE*OutWidth-1:0] result, held;
  logic [WordBits-1:0] address;
  assign address = Folds > 1 ? WordBits'({tx_q, fold_q}) : WordBits'(tx_q);
  assign prior   = partial[address];

  for (genvar p = 0; p < int'(PE); p++) begin : gen_element
    logic [InWidth-1:0] element;
    logic [AccWidth-1:0] wide, so_far, sum;
    logic [KeptWidth-1:0] kept;
    assign element = in0_V_TDATA[p*InWidth+:InWidth];
    assign wide    = Signed ? AccWidth'($signed(element)) : AccWidth'(element);
    assign so_far  = prior[p*AccWidth+:AccWidth];

    if (Func == 1) begin : gen_max
      logic greater;
      assign greater = Signed ? $signed(wide) > $signed(so_far) : wide > so_far;
      assign sum     = first || greater ? wide : so_far;
    end else begin : gen_sum
      assign sum = wide + (first ? '0 : so_far);
    end

    assign after[p*AccWidth+:AccWidth] = sum;
    assign kept = sum[AccWidth-1-:KeptWidth];  // dropping bits of two's complement is floor
    assign result[p*OutWidth+:OutWidth] =
        Signed ? OutWidth'($signed(kept)) : OutWidth'(kept);
  end

  always_ff @(posedge ap_clk) begin
    if (step && whole) partial[address] <= after;
  end

  assign in0_V_TREADY = ready || !last;
  assign step         = in0_V_TVALID && in0_V_TREADY;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  stream_register #(.Width(PE * OutWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (result),
    .valid_i(in0_V_TVALID && last),
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
      assert_tile_range : assert (32'(x_q) < KernelWidth && 32'(y_q) < KernelHeight)
      else $error("%m: more pixels than a window has");
      assert_picture_range : assert (32'(tx_q) < LastTx + 1 && 32'(ty_q) < LastTy + 1)
      else $error("%m: more windows than the picture has");
    end
  end
  localparam int unsigned First = ((KernelHeight - 1) * Width + KernelWidth - 1) * Folds + 1;
  beat_ledger #(
    .InBeats(Height * Width * Folds),
    .OutBeats(Rows * Cols * Folds),
    .First(First),
    .Step(1),
    .Most(Height * Width * Folds + First - 1)
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
