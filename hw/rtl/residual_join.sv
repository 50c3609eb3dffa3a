// SPDX-License-Identifier: Apache-2.0
//
// Where a branch of a residual block ends: the batch norm of its popcount, the residual added, the
// sum in the residual's format, and its sign.
//
//   out0 = clip((factor * in0 + offset + (in1 << Shift)) >> Shift)    signed, >> rounds down
//   out1 = out0 >= 0                                                  a bit
//
// Folding    : PE channels a beat on every stream; factor and offset are of the channel.
// Throughput : one beat a cycle; a pair of beats enters when both inputs have one.
// Latency    : 5 cycles. The product, the offset with the residual, and their sum are the registers
//              of a DSP block. Each output takes a beat when it likes; the cell stops until both
//              have; what nobody reads is tied ready.
// Bit order  : element 0 in the lowest bits. in0 is unsigned, in1 and out0 are signed.
// Constants  : $readmemh of InitFile, one word a beat of a pixel, of PE times {offset, factor}:
//              element 0 and the factor (unsigned) in the lowest bits, the offset signed.

`default_nettype none

module residual_join #(
  parameter int unsigned Channels      = 16,
  parameter int unsigned PE            = 1,
  parameter int unsigned CountWidth    = 8,   // bits of an element of in0
  parameter int unsigned ResidualWidth = 4,   // of in1
  parameter int unsigned SumWidth      = 4,   // of out0
  parameter int unsigned FactorWidth   = 12,
  parameter int unsigned OffsetWidth   = 20,
  parameter int unsigned Shift         = 12,
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
  // The multiplier of a 7-series DSP block has 25 x 18 signed bits.
  if (FactorWidth == 0 || FactorWidth > 17 || CountWidth > 24) begin : gen_check_product
    $error("residual_join: FactorWidth must be 1 .. 17, CountWidth at most 24");
  end
  if (OffsetWidth <= Shift) begin : gen_check_offset
    $error("residual_join: OffsetWidth must be larger than Shift");
  end
  if (InitFile == "") begin : gen_check_init_file
    $error("residual_join: InitFile must name the file of the constants");
  end

  localparam logic [8*11-1:0] Style = 88'(RamStyle);
  if (Style != 88'("auto") && Style != 88'("block") && Style != "distributed") begin : gen_check_ram
    $error("residual_join: RamStyle must be auto, block or distributed");
  end

  localparam int unsigned Folds       = (PE == 0) ? 1 : Channels / PE;
  localparam int unsigned FoldWidth   = (Folds > 1) ? $clog2(Folds) : 1;
  localparam int unsigned RowWidth    = FactorWidth + OffsetWidth;
  localparam int unsigned ProductBits = CountWidth + FactorWidth + 2;
  // Offset and residual, of which the residual begins at bit Shift.
  localparam int unsigned HighOffset  = OffsetWidth - Shift;
  localparam int unsigned HighBits    =
      ((HighOffset > ResidualWidth) ? HighOffset : ResidualWidth) + 1;
  localparam int unsigned AddendBits  = HighBits + Shift;
  localparam int unsigned TotalBits   =
      ((ProductBits > AddendBits) ? ProductBits : AddendBits) + 1;
  localparam int unsigned WholeBits   = TotalBits - Shift;
  localparam int unsigned Inside      = 4;  // registers before the output's

  if (TotalBits > 48 || WholeBits < SumWidth) begin : gen_check_total
    $error("residual_join: the total must have at most 48 bits, and SumWidth above Shift");
  end

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

  (* ram_style = RamStyle *)
  logic [PE*RowWidth-1:0] rom [Folds];
  if (InitFile != "") begin : gen_init
    initial $readmemh(InitFile, rom);
  end

  logic [PE*RowWidth-1:0]      rows_q;
  logic [PE*CountWidth-1:0]    counts_q;
  logic [PE*ResidualWidth-1:0] residuals_q;
  always_ff @(posedge ap_clk) begin
    if (enable) begin
      rows_q      <= rom[fold_q];
      counts_q    <= in0_V_TDATA[PE*CountWidth-1:0];
      residuals_q <= in1_V_TDATA[PE*ResidualWidth-1:0];
    end
  end

  logic [PE*SumWidth-1:0] sums;
  for (genvar p = 0; p < int'(PE); p++) begin : gen_lane
    logic        [FactorWidth-1:0]   factor;
    logic signed [OffsetWidth-1:0]   offset;
    logic signed [ResidualWidth-1:0] residual;
    logic signed [HighBits-1:0]      high;
    assign {offset, factor} = rows_q[p*RowWidth+:RowWidth];
    assign residual         = residuals_q[p*ResidualWidth+:ResidualWidth];
    assign high             = HighBits'(offset >>> Shift) + HighBits'(residual);

    // ---- What a DSP block has registers for; the names are the block's.
    logic signed [CountWidth:0]     a_q;
    logic signed [FactorWidth:0]    b_q;
    logic signed [ProductBits-1:0]  m_q;
    logic signed [AddendBits-1:0]   addend_q, c_q;
    logic signed [TotalBits-1:0]    p_q;
    always_ff @(posedge ap_clk) begin
      if (enable) begin
        a_q      <= {1'b0, counts_q[p*CountWidth+:CountWidth]};
        b_q      <= {1'b0, factor};
        addend_q <= (AddendBits'(high) <<< Shift)
                  | (AddendBits'(unsigned'(offset)) & ((AddendBits'(1) << Shift) - 1'b1));
        m_q      <= a_q * b_q;
        c_q      <= addend_q;
        p_q      <= TotalBits'(m_q) + TotalBits'(c_q);
      end
    end

    logic [WholeBits-1:0] whole;
    logic                 negative, fits, unused;
    assign unused   = &{1'b0, p_q};
    assign whole    = p_q[TotalBits-1:Shift];
    assign negative = whole[WholeBits-1];
    assign fits     = whole[WholeBits-1:SumWidth-1] == {(WholeBits - SumWidth + 1){negative}};
    assign sums[p*SumWidth+:SumWidth] =
        fits ? whole[SumWidth-1:0] : SumWidth'({negative, {(SumWidth - 1){!negative}}});
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
  beat_ledger #(.Most(Inside + 2)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(taken),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
