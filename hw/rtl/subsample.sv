// SPDX-License-Identifier: Apache-2.0
//
// Of a picture the pixels in every StrideHeight-th row and every StrideWidth-th column, from the
// first on: what a convolution of one pixel with a stride reads.
//
// Folding    : PE channels a beat.
// Throughput : an input beat a cycle; those that are left out need no room behind the cell.
// Latency    : 1 cycle.
// Bit order  : element 0 in the lowest bits.

`default_nettype none

module subsample #(
  parameter int unsigned PE           = 1,
  parameter int unsigned Width        = 4,  // bits of an element
  parameter int unsigned Channels     = 16,
  parameter int unsigned Rows         = 32,
  parameter int unsigned Cols         = 32,
  parameter int unsigned StrideHeight = 2,
  parameter int unsigned StrideWidth  = 2
) (
  input  wire                           ap_clk,
  input  wire                           ap_rst_n,
  input  wire  [8*((PE*Width+7)/8)-1:0] in0_V_TDATA,
  input  wire                           in0_V_TVALID,
  output logic                          in0_V_TREADY,
  output logic [8*((PE*Width+7)/8)-1:0] out0_V_TDATA,
  output logic                          out0_V_TVALID,
  input  wire                           out0_V_TREADY
);

  if (PE == 0 || Width == 0 || Channels == 0 || Channels % PE != 0) begin : gen_check_pe
    $error("subsample: PE must divide Channels");
  end
  if (Rows == 0 || Cols == 0 || StrideHeight == 0 || StrideWidth == 0) begin : gen_check_size
    $error("subsample: Rows, Cols and strides must be at least 1");
  end

  localparam int unsigned Folds    = (PE == 0) ? 1 : Channels / PE;
  localparam int unsigned FoldBits = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned ColBits  = (Cols > 1) ? $clog2(Cols) : 1;
  localparam int unsigned RowBits  = (Rows > 1) ? $clog2(Rows) : 1;

  logic [FoldBits-1:0] fold_q;
  logic [ColBits-1:0]  col_q;
  logic [RowBits-1:0]  row_q;
  logic                keep, taken, ready, fold_last, col_last, row_last;
  logic [PE*Width-1:0] held;

  assign keep         = 32'(col_q) % StrideWidth == 0 && 32'(row_q) % StrideHeight == 0;
  assign in0_V_TREADY = ready || !keep;
  assign taken        = in0_V_TVALID && in0_V_TREADY;
  assign fold_last    = fold_q == FoldBits'(Folds - 1);
  assign col_last     = col_q == ColBits'(Cols - 1);
  assign row_last     = row_q == RowBits'(Rows - 1);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q <= '0;
      col_q  <= '0;
      row_q  <= '0;
    end else if (taken) begin
      fold_q <= fold_last ? '0 : fold_q + 1'b1;
      if (fold_last) col_q <= col_last ? '0 : col_q + 1'b1;
      if (fold_last && col_last) row_q <= row_last ? '0 : row_q + 1'b1;
    end
  end

  stream_register #(.Width(PE * Width)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (in0_V_TDATA[PE*Width-1:0]),
    .valid_i(in0_V_TVALID && keep),
    .ready_o(ready),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

`ifndef SYNTHESIS
  localparam int unsigned OutRows = (Rows + StrideHeight - 1) / StrideHeight;
  localparam int unsigned OutCols = (Cols + StrideWidth - 1) / StrideWidth;

  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && taken) begin
      assert_in_picture : assert (32'(fold_q) < Folds && 32'(col_q) < Cols && 32'(row_q) < Rows)
      else $error("%m: more beats than a picture has");
    end
  end
  beat_ledger #(
    .InBeats (Rows * Cols * Folds),
    .OutBeats(OutRows * OutCols * Folds),
    .First   (1),
    .Step    (1),
    .Most    (Rows * Cols * Folds)
  ) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(taken),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
