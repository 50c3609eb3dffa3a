// SPDX-License-Identifier: Apache-2.0
//
// Index of the maximum of Labels values; among equal ones the lowest index wins (as ONNX TopK).
//
// Input: Labels/PE beats a frame; output: one beat, the index. Latency 1 cycle after the last beat
// of a frame, one input beat a cycle. The PE values of a beat are compared in a tree.

`default_nettype none

module label_select #(
  parameter int unsigned Labels = 10,
  parameter int unsigned PE = 1,
  parameter int unsigned InWidth = 16,  // bits of a value
  parameter bit Signed = 1'b1,          // values are two's complement
  parameter int unsigned IdxWidth = 8   // bits of the index
) (
  input  wire                             ap_clk,
  input  wire                             ap_rst_n,
  input  wire  [8*((PE*InWidth+7)/8)-1:0] in0_V_TDATA,
  input  wire                             in0_V_TVALID,
  output logic                            in0_V_TREADY,
  output logic [8*((IdxWidth+7)/8)-1:0]   out0_V_TDATA,
  output logic                            out0_V_TVALID,
  input  wire                             out0_V_TREADY
);

  localparam int unsigned Beats = PE == 0 ? 1 : Labels / PE;
  localparam int unsigned LabelWidth = Labels > 1 ? $clog2(Labels) : 1;

  if (PE == 0 || InWidth == 0 || Labels == 0) begin : gen_check_size
    $error("label_select: Labels, PE and InWidth must be at least 1");
  end
  if (PE == 0 || Labels % PE != 0) begin : gen_check_labels
    $error("label_select: PE must divide Labels");
  end
  if (IdxWidth < LabelWidth) begin : gen_check_width
    $error("label_select: IdxWidth must hold every index");
  end

  // Flipping the sign bit orders two's complement like unsigned numbers, least value 0.
  localparam logic [InWidth-1:0] Flip = InWidth'(Signed) << (InWidth - 1);

  logic [LabelWidth-1:0] base_q;               // index of the first element of this beat
  logic [InWidth-1:0] best_q, best_d;
  logic [LabelWidth-1:0] index_q, index_d;
  logic [PE-1:0][InWidth-1:0] key;
  logic [PE-1:0][LabelWidth-1:0] index;
  logic [IdxWidth-1:0] held;
  logic step, last, ready;

  // Winner of the beat in element 0: only a greater element from the right replaces the left one.
  always_comb begin
    for (int p = 0; p < int'(PE); p++) begin
      key[p]   = in0_V_TDATA[p*InWidth+:InWidth] ^ Flip;
      index[p] = base_q + LabelWidth'(p);
    end
    for (int apart = 1; apart < int'(PE); apart *= 2) begin
      for (int p = 0; p + apart < int'(PE); p += 2 * apart) begin
        if (key[p+apart] > key[p]) begin
          key[p]   = key[p+apart];
          index[p] = index[p+apart];
        end
      end
    end
  end

  // A frame starts with value 0 at index 0, which is right when no key is above 0.
  always_comb begin
    best_d  = best_q;
    index_d = index_q;
    if (key[0] > best_q) begin
      best_d  = key[0];
      index_d = index[0];
    end
  end

  assign last         = base_q == LabelWidth'(Labels - PE);
  assign in0_V_TREADY = ready || !last;
  assign step         = in0_V_TVALID && in0_V_TREADY;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(held);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n || (step && last)) begin
      base_q  <= '0;
      best_q  <= '0;
      index_q <= '0;
    end else if (step) begin
      base_q  <= base_q + LabelWidth'(PE);
      best_q  <= best_d;
      index_q <= index_d;
    end
  end

  stream_register #(.Width(IdxWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (IdxWidth'(index_d)),
    .valid_i(in0_V_TVALID && last),
    .ready_o(ready),
    .data_o (held),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && step) begin
      assert_base_range : assert (32'(base_q) + PE <= Labels)
      else $error("%m: more values than there are labels");
    end
  end
  beat_ledger #(.InBeats(Beats), .Most(2 * Beats - 1)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(step),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
