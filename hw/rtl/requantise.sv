// SPDX-License-Identifier: Apache-2.0
//
// Integers in another format, by a line of each channel: a batch norm and the rounding after it.
//
//   out0 = clip((factor * in0 + offset) >> Shift), where >> rounds down
//
// Folding    : PE channels a beat.
// Throughput : one beat a cycle.
// Latency    : 5 cycles.
// Bit order  : element 0 in the lowest bits.
// Constants  : $readmemh of InitFile, one word a fold, of PE times {offset, factor}: element 0 and
//              the factor (unsigned) in the lowest bits, the offset signed. Where the output is
//              unsigned, the offset is less by half its range, 2^(OutWidth - 1 + Shift).
// KeptWidth  : from 2^(KeptWidth - 2) on, and below -2^(KeptWidth - 2), the lines must be beyond
//              the output's range, or within a step; only that such inputs lie there matters then,
//              and the multiplier takes KeptWidth bits. An unsigned input has one more, its sign.

`default_nettype none

module requantise #(
  parameter int unsigned Channels    = 16,
  parameter int unsigned PE          = 1,
  parameter int unsigned InWidth     = 12,
  parameter bit          InSigned    = 1'b1,
  parameter int unsigned KeptWidth   = 12,
  parameter int unsigned OutWidth    = 4,
  parameter bit          OutSigned   = 1'b1,
  parameter int unsigned FactorWidth = 10,
  parameter int unsigned OffsetWidth = 20,
  parameter int unsigned Shift       = 14,
  parameter              InitFile    = "",
  parameter              RamStyle    = "auto"
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

  localparam int unsigned SignedWidth = InWidth + (InSigned ? 0 : 1);

  if (PE == 0 || Channels == 0 || Channels % PE != 0) begin : gen_check_pe
    $error("requantise: PE must divide Channels");
  end
  if (KeptWidth > SignedWidth || (KeptWidth < 3 && KeptWidth < SignedWidth)) begin : gen_check_kept
    $error("requantise: KeptWidth must be 3 up to the input's bits with its sign");
  end
  if (OffsetWidth <= Shift) begin : gen_check_offset
    $error("requantise: OffsetWidth must be larger than Shift");
  end
  if (InitFile == "") begin : gen_check_init_file
    $error("requantise: InitFile must name the file of the constants");
  end

  localparam int unsigned Folds        = (PE == 0) ? 1 : Channels / PE;
  localparam int unsigned FoldWidth    = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned RowWidth     = FactorWidth + OffsetWidth;
  localparam int unsigned ProductWidth = KeptWidth + FactorWidth + 1;
  localparam int unsigned TotalWidth   =
      ((ProductWidth > OffsetWidth) ? ProductWidth : OffsetWidth) + 1;
  localparam int unsigned Inside       = 4;  // registers before the output's

  if (TotalWidth < OutWidth + Shift) begin : gen_check_total
    $error("requantise: the total must have OutWidth bits above Shift");
  end

  logic              enable, taken;
  logic [Inside-1:0] valid_q;
  assign taken        = in0_V_TVALID && enable;
  assign in0_V_TREADY = enable;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else if (enable) valid_q <= {valid_q[Inside-2:0], taken};
  end

  logic [FoldWidth-1:0] fold_q;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) fold_q <= '0;
    else if (taken) fold_q <= (fold_q == FoldWidth'(Folds - 1)) ? '0 : fold_q + 1'b1;
  end

  (* ram_style = RamStyle *)
  logic [PE*RowWidth-1:0] rom [Folds];
  if (InitFile != "") begin : gen_init
    initial $readmemh(InitFile, rom);
  end

  logic [PE*RowWidth-1:0] rows_q;
  logic [PE*InWidth-1:0]  values_q;
  always_ff @(posedge ap_clk) begin
    if (enable) begin
      rows_q   <= rom[fold_q];
      values_q <= in0_V_TDATA[PE*InWidth-1:0];
    end
  end

  logic [PE*OutWidth-1:0] results, held;
  for (genvar p = 0; p < int'(PE); p++) begin : gen_lane
    logic [FactorWidth-1:0] factor;
    logic [OffsetWidth-1:0] offset;
    logic [SignedWidth-1:0] value;
    logic [KeptWidth-1:0]   kept;
    logic [TotalWidth-1:0]  total;
    logic [OutWidth-1:0]    clipped;
    logic                   unused;
    assign {offset, factor} = rows_q[p*RowWidth+:RowWidth];
    assign value            = SignedWidth'(values_q[p*InWidth+:InWidth]);
    assign unused           = &{1'b0, total, value};

    if (KeptWidth == SignedWidth) begin : gen_all
      assign kept = value;
    end else begin : gen_kept
      localparam int unsigned Signs = SignedWidth - KeptWidth + 1;
      logic negative, near;
      assign negative = value[SignedWidth-1];
      assign near     = value[SignedWidth-1-:Signs] == {Signs{negative}};
      assign kept     = {negative, near ? value[KeptWidth-2] : !negative, value[KeptWidth-3:0]};
    end

    multiply_add #(.AWidth(KeptWidth), .BWidth(FactorWidth + 1), .CWidth(OffsetWidth)) i_line (
      .clk_i   (ap_clk),
      .enable_i(enable),
      .a_i     (kept),
      .b_i     ({1'b0, factor}),
      .c_i     (offset),
      .total_o (total)
    );
    signed_clip #(.InWidth(TotalWidth - Shift), .OutWidth(OutWidth)) i_clip (
      .data_i(total[TotalWidth-1:Shift]),
      .data_o(clipped)
    );
    assign results[p*OutWidth+:OutWidth] = clipped ^ (OutWidth'(!OutSigned) << (OutWidth - 1));
  end

  stream_register #(.Width(PE * OutWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (results),
    .valid_i(valid_q[Inside-1]),
    .ready_o(enable),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && taken) begin
      assert_fold_range : assert (32'(fold_q) < Folds)
      else $error("%m: more beats than a pixel has");
    end
  end
  beat_ledger #(.Most(Inside + 2)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(in0_V_TVALID && in0_V_TREADY),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
