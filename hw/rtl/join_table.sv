// SPDX-License-Identifier: Apache-2.0
//
// Branch and residual of a join by a table of each channel, without a DSP block:
//
//   sums_o = clip(level of channel and count + residual)    signed
//
// Folding    : PE channels at a time, fold_i says which.
// Latency    : 4 cycles, and no register at the output: word, the memory's output register, its
//              level with the residual and its steps, total.
// Bit order  : element 0 in the lowest bits. Counts are unsigned, residuals and sums are signed.
// Table      : a word for 2**StepBits counts is {steps, level}: the level of the first of them,
//              signed, and for each of the others, the second lowest, whether its level is one
//              higher than that of the one before.
// Memories   : lanes 2 m and 2 m + 1 share one, which has two ports: $readmemh of InitFile followed
//              by m and ".hex". Its words are in the order {fold, lane % 2, count >> StepBits}; in
//              that of the last lane of an odd PE there is no lane.

`default_nettype none

module join_table #(
  parameter int unsigned Folds         = 2,
  parameter int unsigned PE            = 2,
  parameter int unsigned CountWidth    = 8,
  parameter int unsigned ResidualWidth = 4,
  parameter int unsigned SumWidth      = 4,
  parameter int unsigned LevelWidth    = 5,   // bits of a level, signed
  parameter int unsigned StepBits      = 2,
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

  localparam int unsigned Steps     = (1 << StepBits) - 1;
  localparam int unsigned WordWidth = LevelWidth + Steps;
  localparam int unsigned HighBits  = CountWidth - StepBits;
  localparam int unsigned TotalBits =
      ((LevelWidth > ResidualWidth) ? LevelWidth : ResidualWidth) + 1;

  if (LevelWidth == 0 || StepBits >= CountWidth) begin : gen_check_word
    $error("join_table: LevelWidth must be at least 1, StepBits less than CountWidth");
  end
  if (TotalBits < SumWidth) begin : gen_check_total
    $error("join_table: a sum has at most one bit more than level and residual");
  end

  logic [PE*WordWidth-1:0] words_q;
  for (genvar m = 0; m < int'((PE + 1) / 2); m++) begin : gen_memory
    localparam int unsigned Lanes    = (2 * m + 1 < int'(PE)) ? 2 : 1;
    localparam int unsigned Words    = (Folds * Lanes) << HighBits;
    localparam int unsigned WordBits = $clog2(Words);

    (* ram_style = RamStyle *)
    logic [WordWidth-1:0] rom [Words];
    if (InitFile != "") begin : gen_init
      initial $readmemh($sformatf("%s%0d.hex", InitFile, m), rom);
    end

    for (genvar l = 0; l < int'(Lanes); l++) begin : gen_port
      localparam int unsigned Lane = 2 * m + l;
      logic [WordBits-1:0] table_of, word;
      assign table_of = WordBits'(fold_i) * WordBits'(Lanes) + WordBits'(l);
      assign word     = (table_of << HighBits)
                      | WordBits'(counts_i[Lane*CountWidth+StepBits+:HighBits]);
      always_ff @(posedge clk_i) begin
        if (enable_i) words_q[Lane*WordWidth+:WordWidth] <= rom[word];
      end
    end
  end

  logic [PE*WordWidth-1:0]          levels_q;  // the memories' output registers
  logic [1:0][PE*ResidualWidth-1:0] residuals_q;
  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      levels_q    <= words_q;
      residuals_q <= {residuals_q[0], residuals_i};
    end
  end

  for (genvar p = 0; p < int'(PE); p++) begin : gen_lane
    logic signed [LevelWidth-1:0]    level;
    logic signed [ResidualWidth-1:0] residual;
    logic signed [TotalBits-1:0]     base_q, total_q;
    logic [StepBits:0]               risen_q;
    assign level    = levels_q[p*WordWidth+:LevelWidth];
    assign residual = residuals_q[1][p*ResidualWidth+:ResidualWidth];

    if (StepBits == 0) begin : gen_each
      assign risen_q = '0;
    end else begin : gen_steps
      logic [1:0][StepBits-1:0] low_q;
      logic [Steps-1:0]         steps;
      logic [StepBits:0]        risen;
      assign steps = levels_q[p*WordWidth+LevelWidth+:Steps];
      always_comb begin
        risen = '0;
        for (int unsigned i = 0; i < Steps; i++) begin
          if (StepBits'(i) < low_q[1]) risen = risen + (StepBits+1)'(steps[i]);
        end
      end
      always_ff @(posedge clk_i) begin
        if (enable_i) begin
          low_q   <= {low_q[0], counts_i[p*CountWidth+:StepBits]};
          risen_q <= risen;
        end
      end
    end
    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        base_q  <= TotalBits'(level) + TotalBits'(residual);
        total_q <= base_q + TotalBits'(risen_q);
      end
    end

    signed_clip #(.InWidth(TotalBits), .OutWidth(SumWidth)) i_clip (
      .data_i(total_q),
      .data_o(sums_o[p*SumWidth+:SumWidth])
    );
  end

endmodule

`default_nettype wire
