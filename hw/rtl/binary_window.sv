// SPDX-License-Identifier: Apache-2.0
//
// Windows of a picture of bits, each in one beat, with the padding around it.
//
// Input      : Height x Width pixels of Channels bits, a pixel a beat; where a pixel has integers
//              of several bits, Channels counts the bits of all of them.
// Output     : OutHeight x OutWidth beats of the Kernel x Kernel pixels of a window, row by row:
//              the pixel of row ky and column kx of it at bit (ky * Kernel + kx) * Channels.
//              The first window begins Padding rows and columns outside the picture, where all is
//              0, which stands for -1 where each bit is an element.
// Cycles     : a step a cycle: Width steps a row, and one more for each column on the right that a
//              window reads outside; as many rows as the picture has, and one more for each below
//              that a window reads. Steps go on while a window waits, until the next one is made.
// Overlap    : where the windows read one row below the picture, the first row of the next frame is
//              taken in meanwhile, as far as it is there; frames follow each other without a gap.
// Latency    : 2 cycles from the last pixel of a window (or its last step) to the window.
// Memory     : Kernel - 1 rows in LUT RAM, the window being made, and the one that is offered.

`default_nettype none

module binary_window #(
  parameter int unsigned Height    = 8,
  parameter int unsigned Width     = 8,
  parameter int unsigned Channels  = 16,
  parameter int unsigned Kernel    = 3,
  parameter int unsigned Padding   = 1,  // above and on the left
  parameter int unsigned Stride    = 1,
  parameter int unsigned OutHeight = 8,
  parameter int unsigned OutWidth  = 8
) (
  input  wire                                          ap_clk,
  input  wire                                          ap_rst_n,
  input  wire  [8*((Channels+7)/8)-1:0]                in0_V_TDATA,
  input  wire                                          in0_V_TVALID,
  output logic                                         in0_V_TREADY,
  output logic [8*((Kernel*Kernel*Channels+7)/8)-1:0]  out0_V_TDATA,
  output logic                                         out0_V_TVALID,
  input  wire                                          out0_V_TREADY
);

  if (Channels == 0 || Stride == 0 || OutHeight == 0 || OutWidth == 0) begin : gen_check_size
    $error("binary_window: Channels, Stride, OutHeight and OutWidth must be at least 1");
  end
  if (Kernel < 2 || Padding >= Kernel) begin : gen_check_kernel
    $error("binary_window: Kernel must be at least 2, and Padding less");
  end
  if (Height == 0 || Width < 2) begin : gen_check_picture
    $error("binary_window: Height must be at least 1, Width 2");
  end

  // A window is whole at its last row and column: of the first one, and of the last.
  localparam int unsigned First      = (Padding < Kernel) ? Kernel - 1 - Padding : 0;
  localparam int unsigned LastCol    = First + (OutWidth - 1) * Stride;
  localparam int unsigned LastRow    = First + (OutHeight - 1) * Stride;
  localparam int unsigned Cols       = (LastCol >= Width) ? LastCol + 1 : Width;
  localparam int unsigned Rows       = (LastRow >= Height) ? LastRow + 1 : Height;
  localparam bit          Overlap    = Rows == Height + 1 && First > 0;
  localparam int unsigned ColBits    = $clog2(Cols + 1);
  localparam int unsigned RowBits    = $clog2(Rows + 1);
  localparam int unsigned WindowBits = Kernel * Kernel * Channels;

  // Whether a window is whole with this row or column.
  localparam int unsigned PlaceBits = (ColBits > RowBits) ? ColBits : RowBits;
  function automatic logic [(1<<PlaceBits)-1:0] whole();
    for (int unsigned n = 0; n < 1 << PlaceBits; n++) begin
      whole[n] = n + 1 > First && (n - First) % Stride == 0;
    end
  endfunction
  localparam logic [(1<<PlaceBits)-1:0] Whole = whole();

  // The next column or row, without a carry chain: so few bits are less deep in LUTs.
  function automatic logic [PlaceBits-1:0] after(input logic [PlaceBits-1:0] n);
    for (int i = 0; i < int'(PlaceBits); i++) after[i] = n[i] ^ (&(n | (~PlaceBits'(0) << i)));
  endfunction

  // ---- The step: its column and row, and what it takes. What decides on that is known in advance,
  // so that ready is a gate away from flip-flops.
  logic [ColBits-1:0] col_q, early;  // early: pixels of the next frame's first row that are in
  logic [RowBits-1:0] row_q;
  logic               in_row_q;      // the column is of the picture
  logic [Kernel-1:0]  in_rows_q;     // so is the row; and those above it that a window has
  logic               last_row_q;
  logic last_col, of_frame, emit, early_slot, early_all;
  assign last_col = col_q == ColBits'(Cols - 1);
  assign of_frame = in_row_q && in_rows_q[0];
  assign emit     = Whole[PlaceBits'(col_q)] && Whole[PlaceBits'(row_q)];

  // made_q: a window is made, and goes where the one before it has left.
  logic made_q, free, go, step;
  assign go           = !made_q || free;
  assign step         = go && (in0_V_TVALID || !of_frame);
  assign in0_V_TREADY = go && (of_frame || early_slot);

  if (Overlap) begin : gen_overlap
    logic [ColBits-1:0] early_q;
    logic               all_early_q;  // every pixel of this row so far
    assign early      = early_q;
    assign early_slot = in_row_q && all_early_q;
    assign early_all  = early_q == ColBits'(Width);
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) begin
        early_q     <= '0;
        all_early_q <= 1'b0;
      end else if (step) begin
        if (last_col) begin
          early_q     <= '0;
          all_early_q <= last_row_q ? Height == 1 && early_all : row_q == RowBits'(Height - 1);
        end else begin
          early_q     <= early_q + ColBits'(early_slot && in0_V_TVALID);
          all_early_q <= all_early_q && (in0_V_TVALID || !in_row_q);
        end
      end
    end
  end else begin : gen_apart
    assign early      = '0;
    assign early_slot = 1'b0;
    assign early_all  = 1'b0;
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      col_q      <= '0;
      row_q      <= '0;
      in_row_q   <= 1'b1;
      in_rows_q  <= Kernel'(1);
      last_row_q <= Rows == 1;
    end else if (step) begin
      // After a frame on with what is missing of the first row, or with the second.
      if (!last_col) begin
        col_q    <= ColBits'(after(PlaceBits'(col_q)));
        in_row_q <= in_row_q && col_q != ColBits'(Width - 1);
      end else begin
        col_q    <= (last_row_q && !early_all) ? early : '0;
        in_row_q <= 1'b1;
        if (last_row_q) begin
          row_q      <= RowBits'(early_all);
          in_rows_q  <= early_all ? Kernel'({1'b1, Height > 1}) : Kernel'(1);
          last_row_q <= Rows == 1 || (Rows == 2 && early_all);
        end else begin
          row_q      <= RowBits'(after(PlaceBits'(row_q)));
          in_rows_q  <= {in_rows_q[Kernel-2:0], in_rows_q[0] && row_q != RowBits'(Height - 1)};
          last_row_q <= row_q == RowBits'(Rows - 2);
        end
      end
    end
  end

  // ---- The rows above: word x has column x of each, the row right above in the low bits.
  localparam int unsigned Above = Kernel - 1;
  (* ram_style = "distributed" *)
  logic [Above*Channels-1:0] lines [Width];
  logic [Above*Channels-1:0] above;
  logic [Channels-1:0]       fresh;
  logic [$clog2(Width)-1:0]  address;
  assign address = $bits(address)'(col_q);
  assign above   = lines[address];
  assign fresh   = in0_V_TDATA[Channels-1:0];

  always_ff @(posedge ap_clk) begin
    if (step && in_row_q) lines[address] <= (Above * Channels)'({above, fresh});
  end

  // ---- The window: a column comes in on the right; what is outside the picture is cleared.
  logic [Kernel-1:0][Kernel-1:0][Channels-1:0] window_q;
  for (genvar ky = 0; ky < int'(Kernel); ky++) begin : gen_row
    localparam int unsigned Back = Kernel - 1 - ky;  // rows above the one of this step
    logic [Channels-1:0] source;
    logic                there;
    assign there = in_row_q && in_rows_q[Back];
    if (Back == 0) begin : gen_fresh
      assign source = fresh;
    end else begin : gen_above
      assign source = above[(Back-1)*Channels+:Channels];
    end
    always_ff @(posedge ap_clk) begin
      if (step) window_q[ky][Kernel-1] <= there ? source : '0;
    end
    for (genvar kx = 0; kx < int'(Kernel) - 1; kx++) begin : gen_column
      always_ff @(posedge ap_clk) begin
        if (step) window_q[ky][kx] <= (col_q == '0) ? '0 : window_q[ky][kx+1];
      end
    end
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) made_q <= 1'b0;
    else if (go) made_q <= step && emit;
  end

  logic [WindowBits-1:0] offered;
  assign out0_V_TDATA = $bits(out0_V_TDATA)'(offered);
  stream_register #(.Width(WindowBits)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (window_q),
    .valid_i(made_q),
    .ready_o(free),
    .data_o (offered),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n && step) begin
      assert_range : assert (32'(col_q) < Cols && 32'(row_q) < Rows)
      else $error("%m: a step beyond the picture and its padding");
      assert_early : assert (32'(early) <= Width)
      else $error("%m: more pixels of the next frame than a row has");
    end
  end
  beat_ledger #(
    .InBeats(Height * Width),
    .OutBeats(OutHeight * OutWidth),
    .First((First < Height && First < Width) ? First * Width + First + 1 : 1),
    .Most(Height * Width + First * Width + First + 1)
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
