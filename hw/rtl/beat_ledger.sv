// SPDX-License-Identifier: Apache-2.0
//
// Whether as many beats leave a cell as those that entered make, for simulation only.
//
// A frame is InBeats beats in and OutBeats out. Its first output beat needs First of its input
// beats, each further one Step more. The cell holds up to Most input beats: taken, and of frames of
// which output beats are still to come.

`default_nettype none

module beat_ledger #(
  parameter int unsigned InBeats = 1,
  parameter int unsigned OutBeats = 1,
  parameter int unsigned First = InBeats,
  parameter int unsigned Step = 0,
  parameter int unsigned Most = InBeats
) (
  input wire clk_i,
  input wire rst_ni,
  input wire taken_i,  // an input beat is transferred
  input wire valid_i,  // an output beat is offered
  input wire ready_i   // and taken
);

  if (InBeats == 0 || OutBeats == 0 || Most < InBeats) begin : gen_check_beats
    $error("beat_ledger: InBeats and OutBeats must be at least 1, Most at least InBeats");
  end

`ifndef SYNTHESIS
  int taken_q;  // beats that entered, without those of frames that have left
  int given_q;  // beats of the present frame that left
  int needed;
  logic given, done;
  assign needed = int'(First) + given_q * int'(Step);
  assign given  = valid_i && ready_i;
  assign done   = given && given_q == int'(OutBeats) - 1;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      taken_q <= 0;
      given_q <= 0;
    end else begin
      taken_q <= taken_q + (taken_i ? 1 : 0) - (done ? int'(InBeats) : 0);
      if (given) given_q <= done ? 0 : given_q + 1;
      assert_not_early : assert (!valid_i || taken_q >= needed)
      else $error("%m: output beat before the input beats that it needs");
      assert_nothing_lost : assert (taken_q <= int'(Most))
      else $error("%m: beat lost, more are taken than the cell can hold");
    end
  end
`endif

endmodule

`default_nettype wire
