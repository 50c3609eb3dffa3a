// SPDX-License-Identifier: Apache-2.0
//
// Products of a grouped convolution: each output is a sum over the channels of its own group.
// Channels and outputs are split alike into Groups, in order.
//
// Input      : windows of folded_window, or of a ConvolutionInputGenerator with depthwise = 1: for
//              each pixel, for each SIMD channels, the Taps beats of the window. SIMD channels are
//              a part of a group, or some groups.
// Output     : for each pixel, for each SIMD channels that end a group, a beat of the PE outputs of
//              these groups.
// Folding    : PE is what the groups of a beat have of outputs. Each output has a product for each
//              channel of its group that is in a beat.
// Throughput : one input beat a cycle; a result that waits stops the cell at the next one.
// Latency    : 3 cycles from the last beat of a sum: operands, products, sum.
// Bit order  : element 0 in the lowest bits.
// Weights    : $readmemh of InitFile, one word an input beat of a pixel, two's complement: the
//              weights of a channel for one output beside each other, output 0 in the lowest bits.

`default_nettype none

module grouped_mvu #(
  parameter int unsigned Channels    = 16,
  parameter int unsigned Outputs     = 48,
  parameter int unsigned Groups      = 16,
  parameter int unsigned Taps        = 9,     // pixels of a window
  parameter int unsigned SIMD        = 4,     // channels a beat
  parameter int unsigned PE          = 12,    // outputs a beat
  parameter int unsigned InWidth     = 4,     // bits of an input element
  parameter bit          Signed      = 1'b1,  // it is two's complement
  parameter int unsigned WeightWidth = 4,
  parameter int unsigned AccWidth    = 11,    // bits of a sum; it wraps
  parameter              InitFile    = "",
  parameter              RamStyle    = "auto"
) (
  input  wire                               ap_clk,
  input  wire                               ap_rst_n,
  input  wire  [8*((SIMD*InWidth+7)/8)-1:0] in0_V_TDATA,
  input  wire                               in0_V_TVALID,
  output logic                              in0_V_TREADY,
  output logic [8*((PE*AccWidth+7)/8)-1:0]  out0_V_TDATA,
  output logic                              out0_V_TVALID,
  input  wire                               out0_V_TREADY
);

  if (Groups == 0 || Channels == 0 || Channels % Groups != 0) begin : gen_check_channels
    $error("grouped_mvu: Groups must divide Channels");
  end
  if (Groups == 0 || Outputs == 0 || Outputs % Groups != 0) begin : gen_check_outputs
    $error("grouped_mvu: Groups must divide Outputs");
  end

  localparam int unsigned Wide  = (Groups == 0) ? 1 : Channels / Groups;  // a group's channels
  localparam int unsigned Fan   = (Groups == 0) ? 1 : Outputs / Groups;   // a group's outputs
  localparam int unsigned Terms = (SIMD < Wide) ? SIMD : Wide;            // of them in a beat
  localparam int unsigned Lanes = (Terms == 0) ? 1 : SIMD / Terms;        // groups in a beat
  localparam int unsigned Beats = (Terms == 0) ? 1 : Taps * Wide / Terms; // of a sum
  localparam int unsigned Words = (SIMD == 0) ? 1 : Taps * Channels / SIMD;
  localparam int unsigned BeatBits    = (Beats > 1) ? $clog2(Beats) : 1;
  localparam int unsigned WordBits    = (Words > 1) ? $clog2(Words) : 1;
  localparam int unsigned ProductBits = InWidth + WeightWidth + 1;

  if (SIMD == 0 || Channels % SIMD != 0 || SIMD % Terms != 0 || Wide % Terms != 0)
  begin : gen_check_simd
    $error("grouped_mvu: SIMD must divide Channels, and a group or be a number of them");
  end
  if (PE != Lanes * Fan) begin : gen_check_pe
    $error("grouped_mvu: PE must be the outputs of the groups in a beat");
  end
  if (Taps == 0 || InWidth == 0 || WeightWidth == 0 || AccWidth == 0) begin : gen_check_size
    $error("grouped_mvu: Taps, InWidth, WeightWidth and AccWidth must be at least 1");
  end
  if (InitFile == "") begin : gen_check_init_file
    $error("grouped_mvu: InitFile must name the file of the weights");
  end
  localparam logic [8*11-1:0] Style = 88'(RamStyle);
  if (Style != 88'("auto") && Style != 88'("block") && Style != "distributed") begin : gen_check_ram
    $error("grouped_mvu: RamStyle must be auto, block or distributed");
  end

  // ---- Position: beat of the sum, and word of the weights.
  logic [BeatBits-1:0] beat_q;
  logic [WordBits-1:0] word_q;
  logic enable, step, last;
  assign step         = in0_V_TVALID && enable;
  assign last         = beat_q == BeatBits'(Beats - 1);
  assign in0_V_TREADY = enable;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      beat_q <= '0;
      word_q <= '0;
    end else if (step) begin
      beat_q <= last ? '0 : beat_q + 1'b1;
      word_q <= (word_q == WordBits'(Words - 1)) ? '0 : word_q + 1'b1;
    end
  end

  // ---- Operands.
  (* ram_style = RamStyle *)
  logic [PE*Terms*WeightWidth-1:0] rom [Words];
  if (InitFile != "") begin : gen_init
    initial $readmemh(InitFile, rom);
  end

  logic [PE*Terms*WeightWidth-1:0] weights_q;
  logic [SIMD*InWidth-1:0]         elements_q;
  always_ff @(posedge ap_clk) begin
    if (enable) begin
      weights_q  <= rom[word_q];
      elements_q <= in0_V_TDATA[SIMD*InWidth-1:0];
    end
  end

  // What is in the registers of operands (0) and of products (1).
  logic [1:0] valid_q, last_q;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else if (enable) valid_q <= {valid_q[0], step};
  end
  always_ff @(posedge ap_clk) begin
    if (enable) last_q <= {last_q[0], last};
  end

  // ---- Products, summed over the channels of a beat, and over its beats.
  logic ready, done;
  assign done   = valid_q[1] && last_q[1];
  assign enable = ready || !done;

  logic [PE*AccWidth-1:0] sums, held;
  for (genvar p = 0; p < int'(PE); p++) begin : gen_output
    localparam int unsigned First = p / Fan * Terms;  // channel of the beat
    logic signed [Terms-1:0][AccWidth-1:0] products_q;
    logic signed [AccWidth-1:0] acc_q, sum;

    always_ff @(posedge ap_clk) begin
      for (int unsigned t = 0; t < Terms; t++) begin
        if (enable) begin
          products_q[t] <= AccWidth'(product(elements_q[(First+t)*InWidth+:InWidth],
                                             weights_q[(p*Terms+t)*WeightWidth+:WeightWidth]));
        end
      end
    end

    always_comb begin
      sum = acc_q;
      for (int unsigned t = 0; t < Terms; t++) sum = sum + products_q[t];
    end
    assign sums[p*AccWidth+:AccWidth] = sum;

    // Starting over is the flip-flops' own reset: it costs no LUT.
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n || (enable && done)) acc_q <= '0;
      else if (enable && valid_q[1]) acc_q <= sum;
    end
  end

  function automatic logic signed [ProductBits-1:0] product(
      logic [InWidth-1:0] element, logic [WeightWidth-1:0] weight);
    if (Signed) return ProductBits'($signed(element)) * ProductBits'($signed(weight));
    return ProductBits'($signed({1'b0, element})) * ProductBits'($signed(weight));
  endfunction

  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);
  stream_register #(.Width(PE * AccWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (sums),
    .valid_i(done),
    .ready_o(ready),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && step) begin
      assert_beat_range : assert (32'(beat_q) < Beats && 32'(word_q) < Words)
      else $error("%m: more beats than a pixel has");
    end
  end
  beat_ledger #(.InBeats(Beats), .Most(2 * Beats + 1)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(step),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
