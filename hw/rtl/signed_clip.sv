// SPDX-License-Identifier: Apache-2.0
//
// A signed number in fewer bits: the nearest that these hold.
//
// Latency    : none, there are no registers.

`default_nettype none

module signed_clip #(
  parameter int unsigned InWidth  = 6,
  parameter int unsigned OutWidth = 4   // at most InWidth
) (
  input  wire  [InWidth-1:0]  data_i,
  output logic [OutWidth-1:0] data_o
);

  if (OutWidth == 0 || OutWidth > InWidth) begin : gen_check_widths
    $error("signed_clip: OutWidth must be 1 .. InWidth");
  end

  logic negative, fits;
  assign negative = data_i[InWidth-1];
  assign fits     = data_i[InWidth-1:OutWidth-1] == {(InWidth - OutWidth + 1){negative}};
  assign data_o   =
      fits ? data_i[OutWidth-1:0] : OutWidth'({negative, {(OutWidth - 1){!negative}}});

endmodule

`default_nettype wire
