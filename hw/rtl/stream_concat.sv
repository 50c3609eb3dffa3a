// SPDX-License-Identifier: Apache-2.0
//
// Concatenates NumInputs streams along the channels: for each pixel Beats[0] beats of input 0,
// then Beats[1] beats of input 1, and so on. A beat has PE elements on every side.
//
// Inputs may differ in element width and sign: input i has elements of ElemWidths[i] bits, sign-
// or zero-extended to OutWidth. Latency 1 cycle, one beat a cycle.
//
// data_i, valid_i, ready_o: input i is element i of the packed vector. Element i of data_i has
// PE*OutWidth bits, of which the low PE*ElemWidths[i] are read (tie the others to zero).

`default_nettype none

module stream_concat #(
  parameter int unsigned NumInputs = 2,
  parameter int unsigned PE = 1,                                        // elements of a beat
  parameter bit [NumInputs-1:0][31:0] Beats = {NumInputs{32'd1}},       // beats a pixel (C_i/PE)
  parameter bit [NumInputs-1:0][31:0] ElemWidths = {NumInputs{32'd4}},  // bits of an element
  parameter bit [NumInputs-1:0] Signed = {NumInputs{1'b1}},             // input i is signed
  parameter int unsigned OutWidth = 4                                   // bits of an output element
) (
  input  wire                                   clk_i,
  input  wire                                   rst_ni,
  input  wire  [NumInputs-1:0][PE*OutWidth-1:0] data_i,
  input  wire  [NumInputs-1:0]                  valid_i,
  output logic [NumInputs-1:0]                  ready_o,
  output logic [PE*OutWidth-1:0]                data_o,
  output logic                                  valid_o,
  input  wire                                   ready_i
);

  function automatic int unsigned max_beats();
    max_beats = 1;
    for (int i = 0; i < int'(NumInputs); i++) begin
      if (Beats[i] > max_beats) max_beats = Beats[i];
    end
  endfunction

  localparam int unsigned CountWidth = max_beats() > 1 ? $clog2(max_beats()) : 1;

  if (NumInputs < 2) begin : gen_check_inputs
    $error("stream_concat: NumInputs must be at least 2");
  end
  if (PE == 0) begin : gen_check_pe
    $error("stream_concat: PE must be at least 1");
  end

  // The turn is one-hot: the data mux is one AND-OR of flip-flop outputs.
  logic [NumInputs-1:0] turn_q;
  logic [CountWidth-1:0] beat_q;  // beats that the current input has given to this pixel
  logic [NumInputs-1:0] single;   // input i gives one beat to a pixel
  logic [NumInputs-1:0] nearly;   // this would be the last beat but one of input i
  logic last_q;                   // this is the last one, known in advance
  logic [NumInputs-1:0][PE*OutWidth-1:0] elements;
  logic [PE*OutWidth-1:0] data;
  logic [NumInputs-1:0] next;
  logic valid, ready;

  for (genvar i = 0; i < int'(NumInputs); i++) begin : gen_input
    localparam int unsigned ElemWidth = ElemWidths[i];
    localparam int unsigned SignBit = Signed != '0 && !Signed[i] ? 1 : 0;

    if (Beats[i] == 0) begin : gen_check_beats
      $error("stream_concat: every input needs at least one beat a pixel");
    end
    if (ElemWidth == 0 || ElemWidth + SignBit > OutWidth) begin : gen_check_width
      $error("stream_concat: OutWidth must hold every value of every input");
    end else begin : gen_extend
      for (genvar p = 0; p < int'(PE); p++) begin : gen_element
        logic [ElemWidth-1:0] element;
        assign element = data_i[i][p*ElemWidth+:ElemWidth];
        assign elements[i][p*OutWidth+:OutWidth] =
            Signed[i] ? OutWidth'($signed(element)) : OutWidth'(element);
      end
    end
    assign single[i] = Beats[i] == 32'd1;
    assign nearly[i] = Beats[i] != 32'd1 && beat_q == CountWidth'(Beats[i] - 32'd2);
  end

  always_comb begin
    data = '0;
    for (int i = 0; i < int'(NumInputs); i++) data |= elements[i] & {PE*OutWidth{turn_q[i]}};
  end

  assign valid   = |(turn_q & valid_i);
  assign ready_o = turn_q & {NumInputs{ready}};
  assign next    = {turn_q[NumInputs-2:0], turn_q[NumInputs-1]};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      turn_q <= NumInputs'(1);
      beat_q <= '0;
      last_q <= single[0];
    end else if (valid && ready) begin
      beat_q <= last_q ? '0 : beat_q + CountWidth'(1);
      last_q <= last_q ? |(next & single) : |(turn_q & nearly);
      if (last_q) turn_q <= next;
    end
  end

  stream_register #(.Width(PE * OutWidth)) i_out (
    .clk_i,
    .rst_ni,
    .data_i (data),
    .valid_i(valid),
    .ready_o(ready),
    .data_o,
    .valid_o,
    .ready_i
  );

`ifndef SYNTHESIS
  always_ff @(posedge clk_i) begin
    if (rst_ni && valid && ready) begin
      assert_one_turn : assert ($onehot(turn_q))
      else $error("%m: not exactly one input has its turn");
      assert_beat_range : assert (32'(beat_q) < max_beats())
      else $error("%m: more beats than any input has");
    end
  end
  beat_ledger i_ledger (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .taken_i(|(valid_i & ready_o)),
    .valid_i(valid_o),
    .ready_i(ready_i)
  );
`endif

endmodule

`default_nettype wire
