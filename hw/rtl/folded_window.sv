// SPDX-License-Identifier: Apache-2.0
//
// Windows of a picture with the padding around it, some channels at a time: for what computes with
// channels apart.
//
// Input      : Height x Width pixels, Channels/PE beats a pixel.
// Output     : for each of OutHeight x OutWidth windows, row by row, for each PE channels, the
//              Kernel * Kernel beats of the window. The first window begins Padding rows and
//              columns outside the picture, where all is 0.
// Bit order  : element 0 in the lowest bits.
// Cycles     : an output beat a cycle, frames without a gap, as long as the input keeps up; it does
//              where a row of windows takes longer than what it needs of new rows.
// Latency    : 3 cycles from the last pixel of a window to its first beat.
// Memory     : a ring of a power of two beats, which holds the rows of a window and what the first
//              window of the next row has beyond them.
// Ready      : from a flip-flop.

`default_nettype none

module folded_window #(
  parameter int unsigned PE        = 4,
  parameter int unsigned InWidth   = 4,  // bits of an element
  parameter int unsigned Channels  = 16,
  parameter int unsigned Height    = 8,
  parameter int unsigned Width     = 8,
  parameter int unsigned Kernel    = 3,
  parameter int unsigned Padding   = 1,  // above and on the left
  parameter int unsigned Stride    = 1,
  parameter int unsigned OutHeight = 8,
  parameter int unsigned OutWidth  = 8,
  parameter              RamStyle  = "auto"
) (
  input  wire                             ap_clk,
  input  wire                             ap_rst_n,
  input  wire  [8*((PE*InWidth+7)/8)-1:0] in0_V_TDATA,
  input  wire                             in0_V_TVALID,
  output logic                            in0_V_TREADY,
  output logic [8*((PE*InWidth+7)/8)-1:0] out0_V_TDATA,
  output logic                            out0_V_TVALID,
  input  wire                             out0_V_TREADY
);

  if (PE == 0 || InWidth == 0 || Channels == 0 || Channels % PE != 0) begin : gen_check_pe
    $error("folded_window: PE must divide Channels");
  end
  if (Kernel < 2 || Padding >= Kernel) begin : gen_check_kernel
    $error("folded_window: Kernel must be at least 2, and Padding less");
  end
  if (Height == 0 || Width == 0 || Stride == 0 || OutHeight == 0 || OutWidth == 0)
  begin : gen_check_size
    $error("folded_window: Height, Width, Stride, OutHeight and OutWidth must be at least 1");
  end
  localparam logic [8*11-1:0] Style = 88'(RamStyle);
  if (Style != 88'("auto") && Style != 88'("block") && Style != "distributed") begin : gen_check_ram
    $error("folded_window: RamStyle must be auto, block or distributed");
  end

  // ---- What windows need of a frame, in beats.
  localparam int Folds = (PE == 0) ? 1 : int'(Channels / PE);
  localparam int Row   = int'(Width) * Folds;
  localparam int Frame = int'(Height) * Row;
  localparam int S     = int'(Stride);

  // Those up to the last one that a window reads.
  function automatic int needed(input int row, input int col);
    int rows = row * S + int'(Kernel - Padding);
    int cols = col * S + int'(Kernel - Padding);
    if (rows > int'(Height)) rows = int'(Height);
    if (cols > int'(Width)) cols = int'(Width);
    return (rows - 1) * Row + cols * Folds;
  endfunction

  // Those before the first that the windows from this row on read.
  function automatic int passed(input int row);
    int rows = row * S - int'(Padding);
    if (rows < 0) rows = 0;
    return (row == int'(OutHeight) || rows > int'(Height)) ? Frame : rows * Row;
  endfunction

  // What the first window of the next row, or frame, needs.
  function automatic int needed_after(input int row);
    return (row == int'(OutHeight) - 1) ? Frame + needed(0, 0) : needed(row + 1, 0);
  endfunction

  // Of all rows of windows: the most beats that are held until the next one can begin, the most
  // that it needs beyond this one's, and the most that no window reads in between.
  localparam int LastCol = int'(OutWidth) - 1;
  typedef struct packed {
    int held;
    int more;
    int idle;
  } most_t;
  function automatic most_t most();
    most = '{held: needed(0, LastCol), more: 0, idle: 0};
    for (int row = 0; row < int'(OutHeight); row++) begin
      int more = needed_after(row) - needed(row, LastCol);
      int held = needed(row, LastCol) - passed(row) + ((more > 0) ? more : 0);
      int idle = passed(row + 1) - needed(row, LastCol);
      if (held > most.held) most.held = held;
      if (more > most.more) most.more = more;
      if (idle > most.idle) most.idle = idle;
    end
  endfunction
  localparam most_t       Most      = most();
  localparam int unsigned AddrBits  = $clog2(Most.held);
  localparam int unsigned Depth     = 1 << AddrBits;
  localparam int unsigned LeadBits  = $clog2(Most.more);
  localparam int unsigned RoomBits  = $clog2(Depth + Most.idle);
  localparam int unsigned CountBits = ((LeadBits > RoomBits) ? LeadBits : RoomBits) + 1;  // a sign
  localparam int unsigned RowBits   = (OutHeight > 1) ? $clog2(OutHeight) : 1;
  localparam int unsigned ColBits   = (OutWidth > 1) ? $clog2(OutWidth) : 1;
  localparam int unsigned TapBits   = $clog2(Kernel);
  localparam int unsigned PlaceBits = (RowBits > ColBits) ? RowBits : ColBits;

  // How many beats less the next window in the row needs than the one at n, and the first of the
  // next row than the last of row n; and one less than what is passed with row n.
  typedef enum int {Along, Below, Passed} change_t;
  function automatic int change(input change_t kind, input int n);
    unique case (kind)
      Along:   return needed(0, n) - needed(0, n + 1);
      Below:   return needed(n, LastCol) - needed_after(n);
      default: return passed(n + 1) - passed(n) - 1;
    endcase
  endfunction
  typedef logic [(1<<PlaceBits)-1:0][CountBits-1:0] changes_t;
  function automatic changes_t changes(input change_t kind, input int count);
    changes = '0;
    for (int n = 0; n < count; n++) changes[n] = CountBits'(change(kind, n));
  endfunction
  localparam changes_t ChangeAlong  = changes(Along, LastCol);
  localparam changes_t ChangeBelow  = changes(Below, int'(OutHeight));
  localparam changes_t ChangePassed = changes(Passed, int'(OutHeight));

  // Whether the picture has the row, or column, of a window's tap.
  typedef logic [(1<<(PlaceBits+TapBits))-1:0] places_t;
  function automatic places_t lies_in(input int size);
    for (int n = 0; n < 1 << (PlaceBits + TapBits); n++) begin
      int at = (n >> TapBits) * S + n % (1 << TapBits) - int'(Padding);
      lies_in[n] = at >= 0 && at < size;
    end
  endfunction
  localparam places_t RowInside = lies_in(int'(Height));
  localparam places_t ColInside = lies_in(int'(Width));

  // ---- Position: tap of the window, beat of the window, and window.
  logic step, next_window, next_row;
  logic kx_last, ky_last, beat_last, col_last, row_last;
  logic [TapBits-1:0] kx, ky;
  logic [ColBits-1:0] col;
  logic [RowBits-1:0] row;
  logic [$clog2(int'(Kernel*Kernel)*Folds)-1:0] unused_beat;
  assign next_window = step && beat_last;
  assign next_row    = step && beat_last && col_last;

  loop_counter #(.Count(Kernel)) i_kx (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .step_i(step), .value_o(kx), .last_o(kx_last));
  loop_counter #(.Count(Kernel)) i_ky (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .step_i(step && kx_last), .value_o(ky), .last_o(ky_last));
  loop_counter #(.Count(Kernel * Kernel * Folds)) i_beat (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .step_i(step), .value_o(unused_beat), .last_o(beat_last));
  loop_counter #(.Count(OutWidth)) i_col (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .step_i(next_window), .value_o(col), .last_o(col_last));
  loop_counter #(.Count(OutHeight)) i_row (
    .clk_i(ap_clk), .rst_ni(ap_rst_n), .step_i(next_row), .value_o(row), .last_o(row_last));

  // ---- Where the beat is: its place in the stream of all frames, without the padding.
  localparam int Corner = int'(Kernel - 1) * (Row + Folds);  // from the first tap to the last
  localparam int Begin  = Corner + Folds - 1;                // to the last of all groups
  logic [AddrBits-1:0] address_q, jump;
  always_comb begin
    if (!kx_last)        jump = AddrBits'(Folds);
    else if (!ky_last)   jump = AddrBits'(Row - int'(Kernel - 1) * Folds);
    else if (!beat_last) jump = AddrBits'(1 - Corner);
    else if (!col_last)  jump = AddrBits'(S * Folds - Begin);
    else if (!row_last)  jump = AddrBits'(S * Row - LastCol * S * Folds - Begin);
    else jump = AddrBits'(Frame - int'(OutHeight - 1) * S * Row - LastCol * S * Folds - Begin);
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) address_q <= AddrBits'(-int'(Padding) * (Row + Folds));
    else if (step) address_q <= address_q + jump;
  end

  // ---- Beats that are there beyond what the next window needs, and places that are free beyond
  // one, so that their signs say what has to wait. What changes them is known a cycle before.
  logic [CountBits-1:0] lead_q, room_q, less_q, passed_q;
  logic write, first_q, begun_q, row_left_q;  // the first beat of a window is next, or was read
  assign in0_V_TREADY = !room_q[CountBits-1];
  assign write        = in0_V_TVALID && in0_V_TREADY;

  always_ff @(posedge ap_clk) begin
    less_q   <= col_last ? ChangeBelow[PlaceBits'(row)] : ChangeAlong[PlaceBits'(col)];
    passed_q <= ChangePassed[PlaceBits'(row)];  // of the row before, when that is left
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      lead_q     <= CountBits'(-needed(0, 0));
      room_q     <= CountBits'(Depth - 1);
      first_q    <= 1'b1;
      begun_q    <= 1'b0;
      row_left_q <= 1'b0;
    end else begin
      lead_q     <= plus(lead_q, begun_q ? less_q : '0, write);
      room_q     <= plus(room_q, row_left_q ? passed_q : '1, !write);
      begun_q    <= step && first_q;
      row_left_q <= next_row;
      if (step) first_q <= beat_last;
    end
  end

  // The carry goes into the chain by a bit below.
  function automatic logic [CountBits-1:0] plus(
      input logic [CountBits-1:0] a, input logic [CountBits-1:0] b, input logic carry);
    logic unused_below;
    {plus, unused_below} = {a, 1'b1} + {b, carry};
  endfunction

  // ---- The ring, the beat that is read, and the one that is offered.
  (* ram_style = RamStyle *)
  logic [PE*InWidth-1:0] ring [Depth];
  logic [PE*InWidth-1:0] word_q, offered;
  logic [AddrBits-1:0]   head_q;
  logic                  word_valid_q, inside_q, go, free;
  assign go   = !word_valid_q || free;
  assign step = go && !(first_q && lead_q[CountBits-1]);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) head_q <= '0;
    else if (write) head_q <= head_q + 1'b1;
  end
  always_ff @(posedge ap_clk) begin
    if (write) ring[head_q] <= in0_V_TDATA[PE*InWidth-1:0];
  end
  always_ff @(posedge ap_clk) begin
    if (go) begin
      word_q   <= ring[address_q];
      inside_q <= RowInside[{PlaceBits'(row), ky}] && ColInside[{PlaceBits'(col), kx}];
    end
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) word_valid_q <= 1'b0;
    else if (go) word_valid_q <= step;
  end

  assign out0_V_TDATA = $bits(out0_V_TDATA)'(offered);
  stream_register #(.Width(PE * InWidth)) i_out (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .data_i (inside_q ? word_q : '0),
    .valid_i(word_valid_q),
    .ready_o(free),
    .data_o (offered),
    .valid_o(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );

`ifndef SYNTHESIS
  always_ff @(posedge ap_clk) begin
    if (ap_rst_n) begin
      assert_ring : assert (int'($signed(room_q)) >= -1)
      else $error("%m: more beats than the ring holds");
    end
  end
  beat_ledger #(
    .InBeats (Frame),
    .OutBeats(OutHeight * OutWidth * Kernel * Kernel * Folds),
    .First   (needed(0, 0)),
    .Most    (Frame + Depth)
  ) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(write),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
