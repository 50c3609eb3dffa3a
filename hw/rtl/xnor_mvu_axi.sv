// SPDX-License-Identifier: Apache-2.0
//
// XNOR-popcount matrix-vector unit with FINN's stream ports: MH popcounts, each the number of
// positions in which an MW-bit vector agrees with a row of the weights.
//
// Folding    : in0 takes SF = MW / SIMD beats of SIMD bits a vector, out0 gives NF = MH / PE beats
//              of PE counts of AccWidth bits. The vector is stored once and replayed NF times.
//              There is no store with NF = 1, nor with SF = 1: a whole vector is taken when it is
//              read for the last time.
// Throughput : a vector every SF * NF cycles, back to back; the next is taken in meanwhile.
// Latency    : from the last input beat of a vector to its first output beat, both unstalled and
//              the unit idle: popcount_pkg::xnor_latency(SIMD) + 2 cycles, + 1 if SF > 1
//              (accumulator), + 1 if NF > 1 too (store). Further output beats: every SF cycles.
// Bit order  : element 0 in the lowest bits, PE outside SIMD; bipolar -1 is 0 and +1 is 1, so that
//              dot = 2 * count - MW. Padding bits of a beat are ignored (in0) or zero (out0).
// Ternary    : the vector has elements -1, 0, +1 of two bits, each of which is half the sum of two
//              bipolar ones: whether it is more than 0, which meets its weight, and whether it is
//              less, which meets the opposite. The result is their dot product, a signed number,
//              count - MW. The latency is that of 2 * SIMD positions.
// Weights    : $readmemh of InitFile, one word of PE * SIMD bits a line; word nf * SF + sf, bit
//              pe * SIMD + simd: neuron nf * PE + pe, input sf * SIMD + simd.

`default_nettype none

module xnor_mvu_axi #(
  parameter int unsigned MW       = 576,
  parameter int unsigned MH       = 64,
  parameter int unsigned PE       = 2,
  parameter int unsigned SIMD     = 64,
  parameter bit          Ternary  = 0,
  parameter int unsigned AccWidth = $clog2((Ternary ? 2 : 1) * MW + 1),
  parameter              InitFile = "",
  parameter              RamStyle = "auto"
) (
  input  wire                                     ap_clk,
  input  wire                                     ap_rst_n,
  input  wire  [8*(((Ternary?2:1)*SIMD+7)/8)-1:0] in0_V_TDATA,
  input  wire                                     in0_V_TVALID,
  output logic                                    in0_V_TREADY,
  output logic [8*((PE*AccWidth+7)/8)-1:0]        out0_V_TDATA,
  output logic                                    out0_V_TVALID,
  input  wire                                     out0_V_TREADY
);

  if (PE == 0 || MH == 0 || MH % PE != 0) begin : gen_check_pe
    $error("xnor_mvu_axi: PE must divide MH");
  end
  if (SIMD == 0 || MW == 0 || MW % SIMD != 0) begin : gen_check_simd
    $error("xnor_mvu_axi: SIMD must divide MW");
  end
  if (!Ternary && AccWidth < $clog2(MW + 1)) begin : gen_check_acc_width
    $error("xnor_mvu_axi: AccWidth must hold 0 .. MW");
  end
  if (InitFile == "") begin : gen_check_init_file
    $error("xnor_mvu_axi: InitFile must name the file of the weights");
  end
  localparam logic [8*11-1:0] Style = 88'(RamStyle);
  if (Style != 88'("auto") && Style != 88'("block") && Style != "distributed") begin : gen_check_ram
    $error("xnor_mvu_axi: RamStyle must be auto, block or distributed");
  end

  localparam int unsigned SF        = MW / SIMD;
  localparam int unsigned NF        = MH / PE;
  localparam int unsigned Depth     = SF * NF;
  localparam int unsigned FoldWidth = (SF > 1) ? $clog2(SF) : 1;
  localparam int unsigned AddrWidth = (Depth > 1) ? $clog2(Depth) : 1;
  localparam int unsigned OutWidth  = PE * AccWidth;

  // A ternary element is two positions, in the lower and in the upper half of a beat.
  localparam int unsigned Positions  = (Ternary ? 2 : 1) * SIMD;
  localparam int unsigned CountWidth = Ternary ? $clog2(2 * MW + 1) : AccWidth;
  logic [Positions-1:0] taken;
  if (Ternary) begin : gen_positions
    for (genvar s = 0; s < SIMD; s++) begin : gen_element
      assign taken[s]      = in0_V_TDATA[2*s+1];
      assign taken[SIMD+s] = in0_V_TDATA[2*s+:2] == 2'b01;
    end
  end else begin : gen_bits
    assign taken = in0_V_TDATA[SIMD-1:0];
  end

  // One enable, straight from a flip-flop, moves the whole pipeline.
  logic enable;

  // ---- Sequence: fold counts the beats of a neuron, address those of all neurons.
  logic                 feed_valid;             // the activation for the next beat is there
  logic [Positions-1:0] feed;
  logic                 advance;
  logic [FoldWidth-1:0] fold_q;
  logic [AddrWidth-1:0] address_q;
  logic                 fold_last, address_last;
  assign advance      = enable && feed_valid;
  assign fold_last    = fold_q == FoldWidth'(SF - 1);
  assign address_last = address_q == AddrWidth'(Depth - 1);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q    <= '0;
      address_q <= '0;
    end else if (advance) begin
      fold_q    <= fold_last ? '0 : fold_q + 1'b1;
      address_q <= address_last ? '0 : address_q + 1'b1;
    end
  end

  if (NF == 1 || SF == 1) begin : gen_through
    assign feed         = taken;
    assign feed_valid   = in0_V_TVALID;
    assign in0_V_TREADY = enable && (NF == 1 || address_last);
  end else begin : gen_replay
    // Two banks of one vector: one is replayed, and may still be filling, the other takes the next.
    localparam int unsigned Entries = 2 << ((SF > 1) ? FoldWidth : 0);
    localparam int unsigned PtrWidth = $clog2(Entries);

    // The read and the written word never coincide. LUT RAM as long as it is small.
    (* ram_style = (SF <= 32) ? "distributed" : "auto" *)
    logic [Positions-1:0] store [Entries];

    logic [1:0]           full_q;
    logic                 write_bank_q, read_bank_q;
    logic [FoldWidth-1:0] write_fold_q;
    logic [PtrWidth-1:0]  write_ptr, read_ptr;
    logic                 write, write_last, free;

    assign write        = in0_V_TVALID && in0_V_TREADY;
    assign write_last   = write && write_fold_q == FoldWidth'(SF - 1);
    assign free         = advance && address_last;
    assign in0_V_TREADY = !full_q[write_bank_q];
    // A bank that is read before it is full is the one being written.
    assign feed_valid   = full_q[read_bank_q] || write_fold_q != fold_q;

    if (SF > 1) begin : gen_ptr
      assign write_ptr = {write_bank_q, write_fold_q};
      assign read_ptr  = {read_bank_q, fold_q};
    end else begin : gen_bank_ptr
      assign write_ptr = write_bank_q;
      assign read_ptr  = read_bank_q;
    end

    always_ff @(posedge ap_clk) begin
      if (write) store[write_ptr] <= taken;
    end
    assign feed = store[read_ptr];

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) begin
        full_q       <= '0;
        write_bank_q <= 1'b0;
        read_bank_q  <= 1'b0;
        write_fold_q <= '0;
      end else begin
        if (write) write_fold_q <= write_last ? '0 : write_fold_q + 1'b1;
        if (write_last) begin
          full_q[write_bank_q] <= 1'b1;
          write_bank_q         <= !write_bank_q;
        end
        if (free) begin
          full_q[read_bank_q] <= 1'b0;
          read_bank_q         <= !read_bank_q;
        end
      end
    end

`ifndef SYNTHESIS
    always_ff @(posedge ap_clk) begin
      if (ap_rst_n && write) begin
        assert_bank_free : assert (!full_q[write_bank_q])
        else $error("%m: a vector that is still needed is overwritten");
      end
      if (ap_rst_n && advance && !full_q[read_bank_q]) begin
        assert_written : assert (read_bank_q == write_bank_q && write_fold_q > fold_q)
        else $error("%m: a beat is read that has not come");
      end
    end
`endif
  end

  // ---- Activation and weights, a register each.
  localparam int unsigned Groups = popcount_pkg::groups(Positions);
  logic [2:0][Groups-1:0] feed_groups;
  logic [Groups-1:0]      parities_q;
  assign feed_groups = (3*Groups)'(feed);

  (* ram_style = RamStyle *)
  logic [PE*SIMD-1:0]   rom [Depth];
  logic [Positions-1:0] acts_q;
  logic                 valid_q, first_q, last_q;

  if (InitFile != "") begin : gen_init
    initial $readmemh(InitFile, rom);
  end

  function automatic logic [PE*Positions-1:0] of_positions(logic [PE*SIMD-1:0] word);
    for (int p = 0; p < int'(PE); p++) begin
      of_positions[p*Positions+:Positions] =
        Positions'({word[p*SIMD+:SIMD], Ternary ? ~word[p*SIMD+:SIMD] : word[p*SIMD+:SIMD]});
    end
  endfunction

  // Few words are no memory: the LUTs that compare bits take their number in place of weights.
  localparam bit          Constants = Depth <= 16 && Style != 88'("block");
  localparam int unsigned Words     = Constants ? Depth : 1;
  localparam int unsigned WordBits  = popcount_pkg::bits(Words);
  logic [Words-1:0][PE*Positions-1:0] weights;
  logic [WordBits-1:0]                word_q;

  if (Constants) begin : gen_constants
    for (genvar w = 0; w < Words; w++) begin : gen_word
      assign weights[w] = of_positions(rom[w]);
    end
    always_ff @(posedge ap_clk) begin
      if (enable) word_q <= address_q;
    end
  end else begin : gen_memory
    logic [PE*SIMD-1:0] weights_q;
    assign weights = of_positions(weights_q);
    assign word_q  = '0;
    always_ff @(posedge ap_clk) begin
      if (enable) weights_q <= rom[address_q];
    end
  end

  always_ff @(posedge ap_clk) begin
    if (enable) begin
      acts_q     <= feed;
      parities_q <= feed_groups[0] ^ feed_groups[1] ^ feed_groups[2];
      first_q    <= fold_q == '0;
      last_q     <= fold_last;
    end
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= 1'b0;
    else if (enable) valid_q <= feed_valid;
  end

  logic                          core_soon, core_valid;
  logic [PE-1:0][CountWidth-1:0] core_counts;
  xnor_mvu #(
    .PE(PE), .SIMD(Positions), .SF(SF), .Words(Words), .AccWidth(CountWidth)
  ) i_core (
    .clk_i      (ap_clk),
    .rst_ni     (ap_rst_n),
    .en_i       (enable),
    .valid_i    (valid_q),
    .first_i    (first_q),
    .last_i     (last_q),
    .acts_i     (acts_q),
    .parities_i (parities_q),
    .weights_i  (weights),
    .word_i     (word_q),
    .soon_o     (core_soon),
    .valid_o    (core_valid),
    .counts_o   (core_counts)
  );

  logic [PE-1:0][AccWidth-1:0] results;
  for (genvar p = 0; p < PE; p++) begin : gen_result
    if (Ternary) begin : gen_dot
      logic signed [CountWidth-1:0] dot;
      assign dot        = core_counts[p] - CountWidth'(MW);
      assign results[p] = AccWidth'(dot);
    end else begin : gen_count
      assign results[p] = core_counts[p];
    end
  end

  // ---- Output register. out0_V_TREADY reaches the enable through a flip-flop only.
  logic                out_valid, load;
  logic [OutWidth-1:0] out;
  assign load          = enable && core_valid;
  assign out0_V_TVALID = out_valid;
  assign out0_V_TDATA  = $bits(out0_V_TDATA)'(out);

  if (SF == 1) begin : gen_skid
    // A result every cycle: the one that finds the register taken waits in a second one.
    logic unused;
    assign unused = core_soon;
    stream_skid #(.Width(OutWidth)) i_out (
      .clk_i   (ap_clk),
      .rst_ni  (ap_rst_n),
      .data_i  (results),
      .valid_i (core_valid),
      .enable_o(enable),
      .data_o  (out),
      .valid_o (out_valid),
      .ready_i (out0_V_TREADY)
    );
  end else begin : gen_hold
    // Results are at least two cycles apart: stop one cycle before one that finds no room.
    logic                enable_q, out_valid_q, out_valid_d, core_valid_d;
    logic [OutWidth-1:0] out_q;
    assign enable       = enable_q;
    assign out          = out_q;
    assign out_valid    = out_valid_q;
    assign out_valid_d  = load || (out_valid_q && !out0_V_TREADY);
    assign core_valid_d = enable ? core_soon : core_valid;

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) begin
        out_valid_q <= 1'b0;
        enable_q    <= 1'b1;
      end else begin
        out_valid_q <= out_valid_d;
        enable_q    <= !(core_valid_d && out_valid_d);
      end
    end
    always_ff @(posedge ap_clk) begin
      if (load) out_q <= results;
    end
  end

`ifndef SYNTHESIS
  // Beats that the pipeline holds, popcounts, accumulator and output registers, are less than this.
  localparam int unsigned Inside = popcount_pkg::xnor_latency(Positions) + 6;

  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && advance) begin
      assert_fold_range : assert (32'(fold_q) < SF)
      else $error("%m: more beats than a neuron has");
      assert_address_range : assert (32'(address_q) < Depth)
      else $error("%m: address beyond the weights");
      assert_fold_end : assert (!address_last || fold_last)
      else $error("%m: the weights end within a neuron");
    end
    if (ap_rst_n && load) begin
      assert_no_overrun : assert (SF == 1 || !out_valid || out0_V_TREADY)
      else $error("%m: result lost");
    end
  end
  stream_monitor #(.Width(OutWidth)) i_monitor (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (out),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
  beat_ledger #(
    .InBeats(SF),
    .OutBeats(NF),
    .First(SF == 1 && NF > 1 ? 0 : SF),  // a vector that is held is taken last
    .Most(SF * ((NF == 1 ? 0 : 2) + 2 + Inside / Depth))
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
