# SPDX-License-Identifier: Apache-2.0
"""A fault of each kind in a copy of a cell, and the assertion that stops the simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hw.rtl import sources
from hw.rtlsim.compile import build
from hw.streams.sim import Simulation, SimulationError
from tests.hw.rtl import (
    test_binary_window,
    test_channel_complement,
    test_channel_pad,
    test_dsp_mvu,
    test_folded_window,
    test_grouped_mvu,
    test_label_select,
    test_requantise,
    test_residual_join,
    test_stream_add,
    test_stream_concat,
    test_stream_duplicate,
    test_stream_fifo,
    test_subsample,
    test_tile_pool,
    test_width_converter,
    test_window_pool,
    test_xnor_mvu,
)
from tests.hw.rtl.streams import DEFINES, Case, bench_text, run_stalled


@dataclass(frozen=True)
class Plant:
    """In the source of `module`, `old` becomes `new`; a test of `cell` then ends with `message`."""

    cell: str
    case: Case
    module: str
    old: str
    new: str
    message: str


def unit(number: int) -> Case:
    return test_xnor_mvu.CASES[number]


PLANTS = {
    "valid falls": Plant(
        "channel_complement", test_channel_complement.CASES[0], "stream_register",
        "else if (ready_o) valid_q <= valid_i;", "else valid_q <= valid_i;",
        "i_out.i_monitor.*: valid fell before the beat was taken",
    ),
    "data changes": Plant(
        "stream_add", test_stream_add.CASES[0], "stream_register",
        "if (ready_o) data_q <= data_i;", "data_q <= data_i;",
        "i_out.i_monitor.*: beat changed before it was taken",
    ),
    "a widened word changes": Plant(
        "width_converter", test_width_converter.CASES[0], "width_converter",
        "if (step) word_q <= {in0", "if (in0_V_TVALID) word_q <= {in0",
        "i_0.i_monitor.*: beat changed before it was taken",
    ),
    "half a pair": Plant(
        "stream_add", test_stream_add.CASES[0], "stream_add",
        "assign in0_V_TREADY = in1_V_TVALID && ready;", "assign in0_V_TREADY = ready;",
        "a beat is taken without the other of its pair",
    ),
    "half a pair at a join": Plant(
        "residual_join", test_residual_join.CASES[0], "residual_join",
        "assign in1_V_TREADY = in0_V_TVALID && enable;", "assign in1_V_TREADY = enable;",
        "a beat is taken without the other of its pair",
    ),
    "results lost": Plant(
        "requantise", test_requantise.CASES[0], "requantise",
        "assign in0_V_TREADY = enable;", "assign in0_V_TREADY = 1'b1;",
        "beat lost, more are taken than the cell can hold|output beat before|beat changed",
    ),
    "a step too many": Plant(
        "binary_window", test_binary_window.CASES[0], "binary_window",
        "assign last_col = col_q == ColBits'(Cols - 1);", "assign last_col = col_q == ColBits'(Cols);",
        "a step beyond the picture and its padding",
    ),
    "a window overwritten": Plant(
        "binary_window", test_binary_window.CASES[0], "binary_window",
        "assign go           = !made_q || free;", "assign go           = 1'b1;",
        "beat lost|output beat before|beat changed",
    ),
    "a ring of windows overrun": Plant(
        "folded_window", test_folded_window.CASES[0], "folded_window",
        "assign in0_V_TREADY = !room_q[CountBits-1];", "assign in0_V_TREADY = 1'b1;",
        "more beats than the ring holds",
    ),
    "a window before its pixels": Plant(
        "folded_window", test_folded_window.CASES[0], "folded_window",
        "lead_q     <= CountBits'(-needed(0, 0));", "lead_q     <= CountBits'(6 - needed(0, 0));",
        "output beat before the input beats that it needs",
    ),
    "a loop too long": Plant(
        "folded_window", test_folded_window.CASES[0], "loop_counter",
        "value_o == Width'(Count - 2);", "value_o == Width'(Count - 1);",
        "the end of the loop is where it is not",
    ),
    "a fold too many": Plant(
        "dsp_mvu", test_dsp_mvu.CASES[3], "dsp_mvu",
        "assign last         = fold[0] == FoldWidth'(NF - 1);", "assign last         = fold[0] == FoldWidth'(NF);",
        "more beats than a vector has",
    ),
    "sums lost": Plant(
        "dsp_mvu", test_dsp_mvu.CASES[0], "dsp_mvu",
        "assign in0_V_TREADY = enable && last;", "assign in0_V_TREADY = last;",
        "beat lost, more are taken than the cell can hold",
    ),
    "out of order": Plant(
        "stream_duplicate", test_stream_duplicate.CASES[0], "stream_duplicate",
        "free_q    <= taken || (", "free_q    <= (",
        "a beat waits while every output has taken the one before|beat lost|output beat before",
    ),
    "overwritten": Plant(
        "stream_duplicate", test_stream_duplicate.CASES[0], "stream_duplicate",
        "assign taken   = &(", "assign taken   = |(",
        "i_monitor.*: (valid fell|beat changed) before|beat lost",
    ),
    "lost": Plant(
        "tile_pool", test_tile_pool.CASES[0], "tile_pool",
        "assign in0_V_TREADY = ready || !last;", "assign in0_V_TREADY = 1'b1;",
        "beat lost, more are taken than the cell can hold",
    ),
    "early": Plant(
        "label_select", test_label_select.CASES[0], "label_select",
        ".valid_i(in0_V_TVALID && last),", ".valid_i(in0_V_TVALID),",
        "output beat before the input beats that it needs",
    ),
    "too far": Plant(
        "channel_pad", test_channel_pad.CASES[3], "channel_pad",
        "CountWidth'(OutBeats - 32'd1)", "CountWidth'(OutBeats)",
        "more beats than a pixel has",
    ),
    "a window too long": Plant(
        "window_pool", test_window_pool.CASES[2], "window_pool",
        "CountWidth'(WindowBeats - 32'd2)", "CountWidth'(WindowBeats - 32'd1)",
        "more beats than a window has",
    ),
    "a column too many": Plant(
        "subsample", test_subsample.CASES[1], "subsample",
        "assign col_last     = col_q == ColBits'(Cols - 1);", "assign col_last     = col_q == ColBits'(Cols);",
        "more beats than a picture has",
    ),
    "a tile too wide": Plant(
        "tile_pool", test_tile_pool.CASES[4], "tile_pool",
        "x_q == XBits'(KernelWidth - 32'd2)", "x_q == XBits'(KernelWidth - 32'd1)",
        "more pixels than a window has",
    ),
    "a result overwritten": Plant(
        "tile_pool", test_tile_pool.CASES[2], "tile_pool",
        "assign in0_V_TREADY = ready || !last;", "assign in0_V_TREADY = 1'b1;",
        "beat lost, more are taken than the cell can hold",
    ),
    "a sum too long": Plant(
        "grouped_mvu", test_grouped_mvu.CASES[0], "grouped_mvu",
        "assign last         = beat_q == BeatBits'(Beats - 1);", "assign last         = beat_q == BeatBits'(Beats);",
        "more beats than a pixel has",
    ),
    "a sum overwritten": Plant(
        "grouped_mvu", test_grouped_mvu.CASES[0], "grouped_mvu",
        "assign enable = ready || !done;", "assign enable = 1'b1;",
        "beat lost, more are taken than the cell can hold",
    ),
    "a queue overrun": Plant(
        "stream_fifo", test_stream_fifo.CASES[3], "stream_fifo",
        "room_q   <= !push || oldest_q != (Bits + 1)'(Places - 2);", "room_q   <= 1'b1;",
        "beat lost, more are taken than the cell can hold|output beat before",
    ),
    "a ring overrun": Plant(
        "stream_fifo", test_stream_fifo.CASES[6], "stream_fifo",
        "room_q   <= !push || write_next_q != behind_q;", "room_q   <= 1'b1;",
        "beat lost, more are taken than the cell can hold|output beat before",
    ),
    "a ring read too early": Plant(
        "stream_fifo", test_stream_fifo.CASES[7], "stream_fifo",
        "filled_q <= push || read_next_q != write_q;", "filled_q <= 1'b1;",
        "output beat before the input beats that it needs",
    ),
    "two turns": Plant(
        "stream_concat", test_stream_concat.CASES[0], "stream_concat",
        "if (last_q) turn_q <= next;", "if (last_q) turn_q <= turn_q | next;",
        "not exactly one input has its turn",
    ),
    "no room for a result": Plant(
        "xnor_mvu_axi", unit(10), "xnor_mvu_axi",
        "enable_q    <= !(core_valid_d && out_valid_d);", "enable_q    <= 1'b1;",
        "result lost",
    ),
    "a vector overwritten": Plant(
        "xnor_mvu_axi", unit(10), "xnor_mvu_axi",
        "assign in0_V_TREADY = !full_q[write_bank_q];", "assign in0_V_TREADY = 1'b1;",
        "a vector that is still needed is overwritten",
    ),
    "a beat that has not come": Plant(
        "xnor_mvu_axi", unit(10), "xnor_mvu_axi",
        "|| write_fold_q != fold_q;", "|| 1'b1;",
        "a beat is read that has not come",
    ),
    "counts out of step": Plant(
        "xnor_mvu_axi", unit(10), "xnor_mvu_axi",
        "first_q    <= fold_q == '0;", "first_q    <= 1'b0;",
        "a neuron begins before the one before it ends, or without its first beat",
    ),
}  # fmt: skip


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[Plant], Simulation]:
    def compile_planted(plant: Plant) -> Simulation:
        (file,) = (path for path in sources(plant.cell) if path.stem == plant.module)
        text = file.read_text()
        assert text.count(plant.old) == 1
        changed, bench = tmp_path / file.name, tmp_path / "bench.sv"
        changed.write_text(text.replace(plant.old, plant.new))
        bench.write_text(bench_text(plant.cell, [plant.case]))
        files = [changed if path == file else path for path in sources(plant.cell)]
        return Simulation(build("bench", [*files, bench], defines=DEFINES))

    return compile_planted


@pytest.mark.parametrize("name", PLANTS)
def test_an_assertion_stops_it(
    name: str, planted: Callable[[Plant], Simulation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, fold in enumerate(test_xnor_mvu.FOLDS):
        Path(f"weights_{number}.hex").write_text(test_xnor_mvu.rom_lines(fold))
    for number in range(len(test_grouped_mvu.SHAPES)):
        Path(f"grouped_{number}.hex").write_text(test_grouped_mvu.rom_lines(number))
    for number in range(len(test_residual_join.SHAPES)):
        for file, words in test_residual_join.memories(number).items():
            Path(file).write_text(words)
    for number in range(len(test_requantise.SHAPES)):
        Path(f"lines_{number}.hex").write_text(test_requantise.memory(number))
    plant = PLANTS[name]
    with pytest.raises(SimulationError, match=plant.message):
        run_stalled(planted(plant), [plant.case], 0)
