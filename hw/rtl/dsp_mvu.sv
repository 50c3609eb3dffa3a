// SPDX-License-Identifier: Apache-2.0
//
// Matrix-vector unit of integers and constant weights on DSP blocks, two weights in each.
//
//   out0[h] = sum over k of Weights[h][k] * in0[k]
//
// Folding    : in0 takes the MW integers of a vector in one beat, out0 gives NF = MH / PE beats of
//              PE sums. The vector is held by who sends it, and taken with its last fold.
// Throughput : a vector every NF cycles, back to back.
// Latency    : from a vector to its first output beat, L + Chains + 2 cycles, L = MW / Chains
//              rounded up; further output beats follow in the next cycles.
// Bit order  : element 0 in the lowest bits; sums are signed. Weights: that of neuron h for input k
//              at bit (h * MW + k) * WeightWidth.
// Two weights: a block multiplies (high * 2^17 + low) by an input and adds the sum of the block
//              before it, so that a chain of blocks carries the sums of lanes 2 p (high) and
//              2 p + 1 (low); an odd last lane has its blocks alone. The low sum starts from a
//              constant (base) that keeps it within its 17 bits, 0 .. 2^17 - 1, for all inputs that
//              there can be, so nothing is borrowed from the high one: both are exact. That it fits
//              is checked at elaboration; more chains make each sum smaller.
// Chains     : chain c has inputs Order[c * MW / Chains] to before Order[(c + 1) * MW / Chains]. It
//              ends a cycle after chain c - 1; what the chains give is added up on the way.

`default_nettype none

module dsp_mvu #(
  parameter int unsigned                     MW          = 2,
  parameter int unsigned                     MH          = 2,
  parameter int unsigned                     PE          = 2,
  parameter int unsigned                     InWidth     = 8,
  parameter bit                              InSigned    = 1'b0,
  parameter int unsigned                     WeightWidth = 8,
  parameter int unsigned                     AccWidth    = 18,
  parameter int unsigned                     Chains      = 1,
  parameter bit [MW-1:0][15:0]               Order       = (16 * MW)'({16'd1, 16'd0}),
  parameter bit [MW*MH*WeightWidth-1:0]      Weights     = '0
) (
  input  wire                               ap_clk,
  input  wire                               ap_rst_n,
  input  wire  [8*((MW*InWidth+7)/8)-1:0]   in0_V_TDATA,
  input  wire                               in0_V_TVALID,
  output logic                              in0_V_TREADY,
  output logic [8*((PE*AccWidth+7)/8)-1:0]  out0_V_TDATA,
  output logic                              out0_V_TVALID,
  input  wire                               out0_V_TREADY
);

  // A block of the 7 series multiplies 25 signed bits by 18 and adds in 48, UltraScale's 27 by 18.
  localparam int unsigned FieldBits = 17;
  localparam int unsigned PairBits  = 25;
  localparam int unsigned SumBits   = FieldBits + AccWidth;

  if (PE == 0 || MH == 0 || MH % PE != 0) begin : gen_check_pe
    $error("dsp_mvu: PE must divide MH");
  end
  if (Chains == 0 || Chains > MW) begin : gen_check_chains
    $error("dsp_mvu: Chains must be 1 .. MW");
  end
  if (InWidth == 0 || InWidth > FieldBits || WeightWidth == 0 || WeightWidth > 8) begin : gen_widths
    $error("dsp_mvu: InWidth must be 1 .. 17, WeightWidth 1 .. 8");
  end
  if (SumBits > 48) begin : gen_check_acc_width
    $error("dsp_mvu: AccWidth must be at most 31");
  end

  localparam int unsigned NF        = MH / PE;
  localparam int unsigned FoldWidth = (NF > 1) ? $clog2(NF) : 1;
  localparam int unsigned Longest   = (MW + Chains - 1) / Chains;
  localparam int unsigned Inside    = Longest + Chains + 1;  // registers before the output's
  localparam int unsigned Pairs     = (PE + 1) / 2;

  // ---- What is known of the weights.
  localparam int Middle  = 1 << (FieldBits - 1);
  localparam int Lowest  = InSigned ? -(1 << (InWidth - 1)) : 0;
  localparam int Highest = (1 << (InSigned ? InWidth - 1 : InWidth)) - 1;

  function automatic int unsigned first_of(int unsigned chain);
    return chain * MW / Chains;
  endfunction

  // Of lane p in fold n; there is no lane PE.
  function automatic int weight(int unsigned n, int unsigned p, int unsigned k);
    logic signed [WeightWidth-1:0] value;
    value = (p < PE) ? Weights[((n*PE+p)*MW+k)*WeightWidth+:WeightWidth] : '0;
    return 32'(value);
  endfunction

  // The largest sum of inputs first .. last - 1 in their order; with sign = -1 of the negated ones.
  function automatic int most(int sign, int unsigned n, int unsigned p, int unsigned first,
                              int unsigned last);
    int w;
    most = 0;
    for (int unsigned i = first; i < last; i++) begin
      w    = sign * weight(n, p, 32'(Order[i]));
      most = most + ((w > 0) ? w * Highest : w * Lowest);
    end
  endfunction

  // What the low sum of a chain starts from: the middle of the field, or as near as can be.
  function automatic int base(int unsigned n, int unsigned p, int unsigned chain);
    int low, high;
    low  = most(-1, n, p, first_of(chain), first_of(chain + 1));
    high = (1 << FieldBits) - 1 - most(1, n, p, first_of(chain), first_of(chain + 1));
    return (low > Middle) ? low : (high < Middle) ? high : Middle;
  endfunction

  // By how much all chains together start from more than the middle.
  function automatic int surplus(int unsigned n, int unsigned p);
    surplus = 0;
    for (int unsigned c = 0; c < Chains; c++) surplus = surplus + base(n, p, c) - Middle;
  endfunction

  for (genvar n = 0; n < NF; n++) begin : gen_check_fold
    for (genvar p = 0; p < PE; p++) begin : gen_check_lane
      if (most(1, n, p, 0, MW) >= 1 << (AccWidth - 1)
          || most(-1, n, p, 0, MW) > 1 << (AccWidth - 1)) begin : gen_check_sum
        $error("dsp_mvu: AccWidth must hold every sum");
      end
      for (genvar c = 0; c < (p % 2) * Chains; c++) begin : gen_check_chain
        localparam int Up   = most(1, n, p, first_of(c), first_of(c + 1));
        localparam int Down = most(-1, n, p, first_of(c), first_of(c + 1));
        if (Up + Down >= 1 << FieldBits) begin : gen_check_field
          $error("dsp_mvu: the low sum of a chain does not fit its field; more Chains are needed");
        end
      end
    end
  end

  // ---- Sequence: one enable moves the whole pipeline; fold[d] is what the fold was d cycles ago.
  logic                               enable, taken, last;
  logic [Inside:0][FoldWidth-1:0]     fold;
  logic [Inside:1]                    valid_q;
  assign taken        = in0_V_TVALID && enable;
  assign last         = fold[0] == FoldWidth'(NF - 1);
  assign in0_V_TREADY = enable && last;

  if (NF > 1) begin : gen_fold
    logic [Inside:0][FoldWidth-1:0] fold_q;
    assign fold = fold_q;
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) fold_q[0] <= '0;
      else if (taken) fold_q[0] <= last ? '0 : fold_q[0] + 1'b1;
    end
    always_ff @(posedge ap_clk) begin
      if (enable) fold_q[Inside:1] <= fold_q[Inside-1:0];
    end
  end else begin : gen_one_fold
    assign fold = '0;
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else if (enable) valid_q <= {valid_q[Inside-1:1], taken};
  end

  // A zero of which synthesis does not know. Where the first or last bits of a factor or a summand
  // are the same for ever, Yosys makes product or sum narrower, and no longer finds the two in one
  // DSP block.
  logic zero;
  assign zero = !ap_rst_n;

  // ---- Chains. Each takes its inputs one cycle after the other.
  logic [Chains-1:0][Pairs-1:0][SumBits-1:0] ends;
  for (genvar c = 0; c < Chains; c++) begin : gen_chain
    localparam int unsigned First = first_of(c);
    localparam int unsigned Count = first_of(c + 1) - First;
    // A chain that is one shorter begins one later; chain c ends with sums of c cycles later.
    localparam int unsigned Start = Longest - Count + c;

    logic [Count-1:0][Pairs-1:0][SumBits-1:0] sum_q;
    for (genvar k = 0; k < Count; k++) begin : gen_input
      localparam int unsigned Delay = Start + k;
      localparam int unsigned Input = 32'(Order[First+k]);
      logic [Delay:0][InWidth-1:0] value;
      assign value[0] = in0_V_TDATA[Input*InWidth+:InWidth];
      if (Delay > 0) begin : gen_delay
        logic [Delay:1][InWidth-1:0] value_q;
        assign value[Delay:1] = value_q;
        always_ff @(posedge ap_clk) begin
          if (enable) value_q <= value[Delay-1:0];
        end
      end

      for (genvar p = 0; p < Pairs; p++) begin : gen_pair
        logic [NF-1:0][PairBits-1:0] weights;
        for (genvar n = 0; n < NF; n++) begin : gen_fold
          localparam int Pair =
              (weight(n, 2 * p, Input) <<< FieldBits) + weight(n, 2 * p + 1, Input);
          assign weights[n] = Pair[PairBits-1:0];
          if (Pair >= 1 << (PairBits - 1) || Pair < -(1 << (PairBits - 1))) begin : gen_check_pair
            $error("dsp_mvu: weights must not be the most negative number");
          end
        end

        // The names are those of the block's registers.
        logic signed [PairBits-1:0]         a_q;
        logic signed [InWidth:0]            b_q;
        logic signed [PairBits+InWidth-1:0] m_q;
        logic        [SumBits-1:0]          addend;
        logic                               unused;
        assign unused = &{1'b0, m_q};
        always_ff @(posedge ap_clk) begin
          if (enable) begin
            a_q         <= weights[fold[Delay]] ^ {PairBits{zero}};
            b_q         <= {InSigned && value[Delay][InWidth-1], value[Delay]};
            m_q         <= a_q * b_q;
            sum_q[k][p] <= SumBits'(m_q) + addend;
          end
        end

        if (k > 0) begin : gen_sum
          assign addend = sum_q[k-1][p];
        end else if (2 * p + 1 == PE) begin : gen_alone
          assign addend = '0;
        end else begin : gen_base
          logic [NF-1:0][FieldBits-1:0] starts;
          logic [FieldBits-1:0]         c_q;
          for (genvar n = 0; n < NF; n++) begin : gen_fold
            assign starts[n] = FieldBits'(base(n, 2 * p + 1, c));
          end
          always_ff @(posedge ap_clk) begin
            if (enable) c_q <= starts[fold[Delay+1]];
          end
          assign addend = SumBits'(c_q | FieldBits'(zero));
        end
      end
    end
    assign ends[c] = sum_q[Count-1];
  end

  // ---- The chains' sums, added up as they come; the last addition ends in the output's register.
  logic [PE*AccWidth-1:0] sums, held;
  for (genvar p = 0; p < PE; p++) begin : gen_lane
    logic [Chains:0][AccWidth-1:0] total;
    if (p % 2 == 0) begin : gen_high
      assign total[0] = '0;
    end else begin : gen_low
      // Less what its chains began with, but for the middles; these are taken off part by part.
      logic [NF-1:0][AccWidth-1:0] starts;
      logic [AccWidth-1:0]         start_q;
      for (genvar n = 0; n < NF; n++) begin : gen_fold
        assign starts[n] = AccWidth'(-surplus(n, p));
      end
      always_ff @(posedge ap_clk) begin
        if (enable) start_q <= starts[fold[Longest+1]];
      end
      assign total[0] = start_q;
    end
    for (genvar c = 0; c < Chains; c++) begin : gen_total
      logic signed [FieldBits-1:0] low;
      logic        [AccWidth-1:0]  part, next;
      logic                        unused;
      assign unused = &{1'b0, low};
      assign low  = ends[c][p/2][FieldBits-1:0] ^ FieldBits'(Middle);
      assign part = (p % 2 == 0) ? ends[c][p/2][FieldBits+:AccWidth] : AccWidth'(low);
      assign next = total[c] + part;
      if (c + 1 < Chains) begin : gen_register
        logic [AccWidth-1:0] total_q;
        always_ff @(posedge ap_clk) begin
          if (enable) total_q <= next;
        end
        assign total[c+1] = total_q;
      end else begin : gen_out
        assign total[c+1] = next;
      end
    end
    assign sums[p*AccWidth+:AccWidth] = total[Chains];
  end

  stream_register #(.Width(PE * AccWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (sums),
    .valid_i(valid_q[Inside]),
    .ready_o(enable),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && taken) begin
      assert_fold_range : assert (32'(fold[0]) < NF)
      else $error("%m: more beats than a vector has");
    end
  end
  beat_ledger #(
    .OutBeats(NF),
    .First(NF > 1 ? 0 : 1),  // a vector that is held is taken last
    .Most(Inside / NF + 2)
  ) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(in0_V_TVALID && in0_V_TREADY),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
