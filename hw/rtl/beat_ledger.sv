// SPDX-License-Identifier: Apache-2.0
//
// Whether as many beats leave a cell as those that entered make, for simulation only.
//
// A frame is InBeats beats in and OutBeats out. Its first output beat needs First of its input
// beats, each further one Step more. The cell holds up to Most input beats: taken, and of frames of
// which output beats are still to come.
//
// It is empty unless BEAT_LEDGER is defined: it costs the simulation of a whole design a sixth of
// its speed.

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

`ifdef BEAT_LEDGER
  int taken_q;  // beats that entered, without those of frames that have left
  int given_q;  // beats of the present frame that left
  int taken_d;
  logic given, done;
  assign given   = valid_i && ready_i;
  assign done    = given && given_q == int'(OutBeats) - 1;
  assign taken_d = taken_q + (taken_i ? 1 : 0) - (done ? int'(InBeats) : 0);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      taken_q <= 0;
      given_q <= 0;
    end else if (taken_i || valid_i) begin
      taken_q <= taken_d;
      if (given) given_q <= done ? 0 : given_q + 1;
      assert_not_early : assert (!valid_i || taken_q >= int'(First) + given_q * int'(Step))
      else $error("%m: output beat before the input beats that it needs");
      assert_nothing_lost : assert (taken_d <= int'(Most))
      else $error("%m: beat lost, more are taken than the cell can hold");
    end
  end
`endif

endmodule

`default_nettype wire
