// SPDX-License-Identifier: Apache-2.0
//
// Branch and residual of a join by a line of each channel, in a DSP block a lane:
//
//   sums_o = clip((factor * count + offset + (residual << Shift)) >> Shift)
//
// where >> rounds down.
//
// Folding    : PE channels at a time, fold_i says which.
// Latency    : 4 cycles, and no register at the output.
// Bit order  : element 0 in the lowest bits. Counts are unsigned, residuals and sums are signed.
// Constants  : $readmemh of InitFile, one word a fold, of PE times {offset, factor}: element 0 and
//              the factor (unsigned) in the lowest bits, the offset signed.

`default_nettype none

module join_line #(
  parameter int unsigned Folds         = 16,
  parameter int unsigned PE            = 1,
  parameter int unsigned CountWidth    = 8,
  parameter int unsigned ResidualWidth = 4,
  parameter int unsigned SumWidth      = 4,
  parameter int unsigned FactorWidth   = 12,
  parameter int unsigned OffsetWidth   = 20,
  parameter int unsigned Shift         = 12,
  parameter              InitFile      = "",
  parameter              RamStyle      = "auto",
  localparam int unsigned FoldWidth    = (Folds > 1) ? $clog2(Folds) : 1
) (
  input  wire                         clk_i,
  input  wire                         enable_i,
  input  wire  [FoldWidth-1:0]        fold_i,
  input  wire  [PE*CountWidth-1:0]    counts_i,
  input  wire  [PE*ResidualWidth-1:0] residuals_i,
  output logic [PE*SumWidth-1:0]      sums_o
);

  if (FactorWidth == 0 || FactorWidth > 17 || CountWidth > 24) begin : gen_check_product
    $error("join_line: FactorWidth must be 1 .. 17, CountWidth at most 24");
  end
  if (OffsetWidth <= Shift) begin : gen_check_offset
    $error("join_line: OffsetWidth must be larger than Shift");
  end

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

  if (WholeBits < SumWidth) begin : gen_check_total
    $error("join_line: the total must have SumWidth bits above Shift");
  end

  (* ram_style = RamStyle *)
  logic [PE*RowWidth-1:0] rom [Folds];
  if (InitFile != "") begin : gen_init
    initial $readmemh(InitFile, rom);
  end

  logic [PE*RowWidth-1:0]      rows_q;
  logic [PE*CountWidth-1:0]    counts_q;
  logic [PE*ResidualWidth-1:0] residuals_q;
  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      rows_q      <= rom[fold_i];
      counts_q    <= counts_i;
      residuals_q <= residuals_i;
    end
  end

  for (genvar p = 0; p < int'(PE); p++) begin : gen_lane
    logic        [FactorWidth-1:0]   factor;
    logic signed [OffsetWidth-1:0]   offset;
    logic signed [ResidualWidth-1:0] residual;
    logic signed [HighBits-1:0]      high;
    assign {offset, factor} = rows_q[p*RowWidth+:RowWidth];
    assign residual         = residuals_q[p*ResidualWidth+:ResidualWidth];
    assign high             = HighBits'(offset >>> Shift) + HighBits'(residual);

    logic        [TotalBits-1:0]     total;
    logic                            unused;
    assign unused = &{1'b0, total};
    multiply_add #(.AWidth(CountWidth + 1), .BWidth(FactorWidth + 1), .CWidth(AddendBits)) i_line (
      .clk_i,
      .enable_i,
      .a_i    ({1'b0, counts_q[p*CountWidth+:CountWidth]}),
      .b_i    ({1'b0, factor}),
      .c_i    ((AddendBits'(high) <<< Shift)
               | (AddendBits'(unsigned'(offset)) & ((AddendBits'(1) << Shift) - 1'b1))),
      .total_o(total)
    );
    signed_clip #(.InWidth(WholeBits), .OutWidth(SumWidth)) i_clip (
      .data_i(total[TotalBits-1:Shift]),
      .data_o(sums_o[p*SumWidth+:SumWidth])
    );
  end

endmodule

`default_nettype wire
