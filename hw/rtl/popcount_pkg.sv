// SPDX-License-Identifier: Apache-2.0
//
// Shape and latency of the pipelined popcounts, for the cells themselves and for their users. The
// latencies are in cycles with en_i.

`default_nettype none

package popcount_pkg;

  // popcount_chain: bits that an adder counts, adders between two registers, adders at most.
  localparam int unsigned AdderBits   = 6;
  localparam int unsigned StageAdders = 2;
  localparam int unsigned ChainAdders = 4;
  localparam int unsigned StageBits   = StageAdders * AdderBits;
  localparam int unsigned ChainBits   = ChainAdders * AdderBits;

  // Groups of three positions, into which popcount_xnor first compresses `n`.
  function automatic int unsigned groups(int unsigned n);
    return (n + 2) / 3;
  endfunction

  // Of a number below n: at least one.
  function automatic int unsigned bits(int unsigned n);
    return (n > 1) ? $clog2(n) : 1;
  endfunction

  // Of popcount_chain #(n): 1 for n <= 12, else 2.
  function automatic int unsigned chain_latency(int unsigned n);
    return (n + StageBits - 1) / StageBits;
  endfunction

  // Of popcount #(n): 1 for n <= 13, 2 for n <= 25, and 1 more for each halving above.
  function automatic int unsigned tree_latency(int unsigned n);
    int unsigned left, halvings;
    left = n;
    halvings = 0;
    while (left > ChainBits + 1) begin
      left = (left + 1) / 2;
      halvings++;
    end
    return halvings + chain_latency(left - 1);
  endfunction

  // Of popcount_xnor #(n): 1 for n <= 3, else 2 more than that of a popcount of its groups.
  function automatic int unsigned xnor_latency(int unsigned n);
    return (groups(n) == 1) ? 1 : 2 + tree_latency(groups(n));
  endfunction

endpackage

`default_nettype wire
