// SPDX-License-Identifier: Apache-2.0
//
// Where a branch of a residual block ends: the batch norm of its popcount, the residual added, the
// sum in the residual's format, and its sign.
//
//   out0 = clip(level + in1)    signed
//   out1 = out0 >= 0            a bit
//
// where the level is (factor * in0 + offset) >> Shift, rounded down, of the channel (join_line, a
// DSP block a lane), or is looked up by channel and in0 (join_table).
//
// Folding    : PE channels a beat on every stream.
// Throughput : one beat a cycle; a pair of beats enters when both inputs have one.
// Latency    : 5 cycles. Each output takes a beat when it likes; one more beat is made until both
//              have; what nobody reads is tied ready.
// Bit order  : element 0 in the lowest bits. in0 is unsigned, in1 and out0 are signed.
// Constants  : $readmemh of InitFile, or of files whose names begin so, see join_line, join_table.

`default_nettype none

module residual_join #(
  parameter int unsigned Channels      = 16,
  parameter int unsigned PE            = 1,
  parameter int unsigned CountWidth    = 8,     // bits of an element of in0
  parameter int unsigned ResidualWidth = 4,     // of in1
  parameter int unsigned SumWidth      = 4,     // of out0
  parameter bit          Table         = 1'b0,  // in place of lines
  parameter int unsigned FactorWidth   = 12,    // lines
  parameter int unsigned OffsetWidth   = 20,
  parameter int unsigned Shift         = 12,
  parameter int unsigned LevelWidth    = 5,     // table
  parameter int unsigned StepBits      = 0,
  parameter              InitFile      = "",
  parameter              RamStyle      = "auto"
) (
  input  wire                                  ap_clk,
  input  wire                                  ap_rst_n,
  input  wire  [8*((PE*CountWidth+7)/8)-1:0]    in0_V_TDATA,
  input  wire                                  in0_V_TVALID,
  output logic                                 in0_V_TREADY,
  input  wire  [8*((PE*ResidualWidth+7)/8)-1:0] in1_V_TDATA,
  input  wire                                  in1_V_TVALID,
  output logic                                 in1_V_TREADY,
  output logic [8*((PE*SumWidth+7)/8)-1:0]      out0_V_TDATA,
  output logic                                 out0_V_TVALID,
  input  wire                                  out0_V_TREADY,
  output logic [8*((PE+7)/8)-1:0]               out1_V_TDATA,
  output logic                                 out1_V_TVALID,
  input  wire                                  out1_V_TREADY
);

  if (PE == 0 || Channels == 0 || Channels % PE != 0) begin : gen_check_pe
    $error("residual_join: PE must divide Channels");
  end
  if (CountWidth == 0 || ResidualWidth == 0 || SumWidth == 0) begin : gen_check_widths
    $error("residual_join: CountWidth, ResidualWidth and SumWidth must be at least 1");
  end
  if (InitFile == "") begin : gen_check_init_file
    $error("residual_join: InitFile must name the file of the constants");
  end

  localparam logic [8*11-1:0] Style = 88'(RamStyle);
  if (Style != 88'("auto") && Style != 88'("block") && Style != "distributed") begin : gen_check_ram
    $error("residual_join: RamStyle must be auto, block or distributed");
  end

  localparam int unsigned Folds     = (PE == 0) ? 1 : Channels / PE;
  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned Inside    = 4;  // registers before the output's

  logic enable, taken;
  assign taken        = in0_V_TVALID && in1_V_TVALID && enable;
  assign in0_V_TREADY = in1_V_TVALID && enable;
  assign in1_V_TREADY = in0_V_TVALID && enable;

  logic [FoldWidth-1:0] fold_q;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) fold_q <= '0;
    else if (taken) fold_q <= (fold_q == FoldWidth'(Folds - 1)) ? '0 : fold_q + 1'b1;
  end

  logic [Inside-1:0] valid_q;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else if (enable) valid_q <= {valid_q[Inside-2:0], taken};
  end

  logic [PE*SumWidth-1:0] sums;
  if (Table) begin : gen_table
    join_table #(
      .Folds        (Folds),
      .PE           (PE),
      .CountWidth   (CountWidth),
      .ResidualWidth(ResidualWidth),
      .SumWidth     (SumWidth),
      .LevelWidth   (LevelWidth),
      .StepBits     (StepBits),
      .InitFile     (InitFile),
      .RamStyle     (RamStyle)
    ) i_table (
      .clk_i      (ap_clk),
      .enable_i   (enable),
      .fold_i     (fold_q),
      .counts_i   (in0_V_TDATA[PE*CountWidth-1:0]),
      .residuals_i(in1_V_TDATA[PE*ResidualWidth-1:0]),
      .sums_o     (sums)
    );
  end else begin : gen_line
    join_line #(
      .Folds        (Folds),
      .PE           (PE),
      .CountWidth   (CountWidth),
      .ResidualWidth(ResidualWidth),
      .SumWidth     (SumWidth),
      .FactorWidth  (FactorWidth),
      .OffsetWidth  (OffsetWidth),
      .Shift        (Shift),
      .InitFile     (InitFile),
      .RamStyle     (RamStyle)
    ) i_line (
      .clk_i      (ap_clk),
      .enable_i   (enable),
      .fold_i     (fold_q),
      .counts_i   (in0_V_TDATA[PE*CountWidth-1:0]),
      .residuals_i(in1_V_TDATA[PE*ResidualWidth-1:0]),
      .sums_o     (sums)
    );
  end

  logic [PE*SumWidth-1:0] sums_q;
  logic [PE*SumWidth-1:0] again;
  logic [PE-1:0]          signs;
  stream_duplicate #(.Width(PE * SumWidth), .NumOutputs(2)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (sums),
    .valid_i(valid_q[Inside-1]),
    .ready_o(enable),
    .data_o ({again, sums_q}),
    .valid_o({out1_V_TVALID, out0_V_TVALID}),
    .ready_i({out1_V_TREADY, out0_V_TREADY})
  );
  for (genvar p = 0; p < int'(PE); p++) begin : gen_sign
    assign signs[p] = !again[(p+1)*SumWidth-1];
  end
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(sums_q);
  assign out1_V_TDATA = $bits(out1_V_TDATA)'(signs);

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && (in0_V_TVALID || in1_V_TVALID)) begin
      assert_pairs : assert ((in0_V_TVALID && in0_V_TREADY) == (in1_V_TVALID && in1_V_TREADY))
      else $error("%m: a beat is taken without the other of its pair");
    end
    if (ap_rst_n && taken) begin
      assert_fold_range : assert (32'(fold_q) < Folds)
      else $error("%m: more beats than a pixel has");
    end
  end
  beat_ledger #(.Most(Inside + 3)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(taken),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
