// SPDX-License-Identifier: Apache-2.0
//
// Yosys technology map: selection from an array as one $shiftx a bit, the form in which xilinx_srl finds shift registers with
// a variable tap (the storage of FINN's FIFOs and of its thresholding output). read_slang writes such a selection as $bmux, and
// stores an array declared [N] with entry 0 in the most significant bits, selected by the inverted index. So the columns
// are read backwards with the index inverted: the same value for every array, and a chain that the pass recognises for these.

(* techmap_celltype = "$bmux" *)
module shift_taps (A, S, Y);
  parameter WIDTH = 1;
  parameter S_WIDTH = 1;
  input [(WIDTH << S_WIDTH)-1:0] A;
  input [S_WIDTH-1:0] S;
  output [WIDTH-1:0] Y;

  genvar b, e;
  generate
    for (b = 0; b < WIDTH; b = b + 1) begin : gen_bit
      wire [(1 << S_WIDTH)-1:0] column;
      for (e = 0; e < (1 << S_WIDTH); e = e + 1) begin : gen_entry
        assign column[e] = A[((1 << S_WIDTH) - 1 - e)*WIDTH + b];
      end
      \$shiftx #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(1 << S_WIDTH), .B_WIDTH(S_WIDTH), .Y_WIDTH(1))
        tap (.A(column), .B(~S), .Y(Y[b]));
    end
  endgenerate
endmodule
