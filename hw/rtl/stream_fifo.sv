// SPDX-License-Identifier: Apache-2.0
//
// A queue of Depth beats; in0_V_TREADY is a flip-flop's (RamStyle "registers" apart).
//
// RamStyle   what holds the beats                                       latency
// registers  a chain of stream_register, no LUT but for their valid     Depth
// srl        shift registers with one tap: 32 beats of a bit a LUT      2
// block      a ring of Depth - 1 places in block RAM, and its outputs   3
//
// A beat a cycle in and out. The ring has one place more than it holds beats, and it is full where
// the next write is the last read; two more beats are in the latch and the register after it.
// Whether it is full or empty is known in advance, from pointers that are one step ahead. Where
// Depth is a power of two the pointers are shift registers with feedback, which go through every
// number but one: one LUT for a step, where a counter has one a bit. In which order places are used
// does not matter if both pointers keep it.

`default_nettype none

module stream_fifo #(
  parameter int unsigned Width    = 8,
  parameter int unsigned Depth    = 33,
  parameter              RamStyle = "srl"
) (
  input  wire                        ap_clk,
  input  wire                        ap_rst_n,
  input  wire  [8*((Width+7)/8)-1:0] in0_V_TDATA,
  input  wire                        in0_V_TVALID,
  output logic                       in0_V_TREADY,
  output logic [8*((Width+7)/8)-1:0] out0_V_TDATA,
  output logic                       out0_V_TVALID,
  input  wire                        out0_V_TREADY
);

  localparam logic [8*11-1:0] Style = 88'(RamStyle);
  localparam bit Chain = Style == 88'("registers");
  localparam bit Shift = Style == 88'("srl");
  localparam int unsigned Least = Chain ? 1 : Shift ? 3 : 4;
  localparam int unsigned Stages = Chain ? Depth : 1;
  localparam int unsigned Places = Depth > Least ? Depth - 1 : Least - 1;
  localparam int unsigned Bits = $clog2(Places);

  if (Width == 0 || Depth < Least) begin : gen_check_size
    $error("stream_fifo: Width must be at least 1, Depth 1 as registers, 3 in srl, 4 in block");
  end
  if (!Chain && !Shift && Style != 88'("block")) begin : gen_check_style
    $error("stream_fifo: RamStyle must be registers, srl or block");
  end

  // What the last registers take, and these: one, or all of a chain.
  logic [Stages:0][Width-1:0] data;
  logic [Stages:0] valid, ready;
  assign ready[Stages] = out0_V_TREADY;
  assign out0_V_TVALID = valid[Stages];
  assign out0_V_TDATA  = $bits(out0_V_TDATA)'(data[Stages]);
  for (genvar i = 0; i < Stages; i++) begin : gen_register
    stream_register #(.Width(Width)) i_register (
      .clk_i  (ap_clk),
      .rst_ni (ap_rst_n),
      .data_i (data[i]),
      .valid_i(valid[i]),
      .ready_o(ready[i]),
      .data_o (data[i+1]),
      .valid_o(valid[i+1]),
      .ready_i(ready[i+1])
    );
  end

  if (Chain) begin : gen_chain
    assign in0_V_TREADY = ready[0];
    assign valid[0]     = in0_V_TVALID;
    assign data[0]      = in0_V_TDATA[Width-1:0];
  end else if (Shift) begin : gen_shift
    logic [0:Places-1][Width-1:0] beats_q;
    logic [Bits:0] oldest_q;  // its place; all ones where there is none
    logic room_q;             // it is not the last one
    logic push, pop;

    assign in0_V_TREADY = room_q;
    assign valid[0]     = !oldest_q[Bits];
    assign data[0]      = beats_q[oldest_q[Bits-1:0]];
    assign push         = in0_V_TVALID && in0_V_TREADY;
    assign pop          = valid[0] && ready[0];

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) begin
        oldest_q <= '1;
        room_q   <= 1'b1;
      end else if (push != pop) begin
        oldest_q <= oldest_q + {{Bits{!push}}, 1'b1};
        room_q   <= !push || oldest_q != (Bits + 1)'(Places - 2);
      end
    end

    always_ff @(posedge ap_clk) begin
      if (push) beats_q <= {in0_V_TDATA[Width-1:0], beats_q[0:Places-2]};
    end
  end else begin : gen_ring
    // Taps of the shortest feedback of n = 2 .. 16 bits that goes through 2^n - 1 numbers.
    localparam logic [16:2][15:0] AllTaps = {
      16'hd008, 16'h6000, 16'h2015, 16'h100d, 16'h0829, 16'h0500, 16'h0240, 16'h0110,
      16'h00b8, 16'h0060, 16'h0030, 16'h0014, 16'h000c, 16'h0006, 16'h0003
    };
    localparam bit Feedback = Depth == 1 << Bits && Bits <= 16;
    localparam logic [Bits-1:0] Taps = Feedback ? Bits'(AllTaps[Bits]) : '0;

    function automatic logic [Bits-1:0] after(input logic [Bits-1:0] place);
      if (Feedback) return {place[Bits-2:0], ~^(place & Taps)};
      return place == Bits'(Places - 1) ? '0 : place + Bits'(1);
    endfunction

    (* ram_style = "block" *)
    logic [Width-1:0] ring[Places];
    logic [Width-1:0] latch_q;
    logic [Bits-1:0] write_q, write_next_q, read_q, read_next_q, behind_q;  // behind: before read_q
    logic room_q, filled_q;  // the ring is not full, not empty
    logic latched_q;
    logic push, load, pull;

    assign in0_V_TREADY = room_q;
    assign push         = in0_V_TVALID && in0_V_TREADY;
    assign load         = !latched_q || ready[0];
    assign pull         = load && filled_q;
    assign valid[0]     = latched_q;
    assign data[0]      = latch_q;

    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) begin
        write_q      <= '0;
        write_next_q <= after('0);
        read_q       <= '0;
        read_next_q  <= after('0);
        behind_q     <= Feedback ? {1'b1, {(Bits - 1) {1'b0}}} : Bits'(Places - 1);
        room_q       <= 1'b1;
        filled_q     <= 1'b0;
        latched_q    <= 1'b0;
      end else begin
        if (push) begin
          write_q      <= write_next_q;
          write_next_q <= after(write_next_q);
        end
        if (pull) begin
          read_q      <= read_next_q;
          read_next_q <= after(read_next_q);
          behind_q    <= read_q;
        end
        if (push != pull) begin
          room_q   <= !push || write_next_q != behind_q;
          filled_q <= push || read_next_q != write_q;
        end
        if (load) latched_q <= filled_q;
      end
    end

    always_ff @(posedge ap_clk) begin
      if (push) ring[write_q] <= in0_V_TDATA[Width-1:0];
      if (load) latch_q <= ring[read_q];
    end
  end

`ifndef SYNTHESIS
  beat_ledger #(.Most(Depth)) i_ledger (
    .clk_i  (ap_clk),
    .rst_ni (ap_rst_n),
    .taken_i(in0_V_TVALID && in0_V_TREADY),
    .valid_i(out0_V_TVALID),
    .ready_i(out0_V_TREADY)
  );
`endif

endmodule

`default_nettype wire
