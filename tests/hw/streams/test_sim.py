# SPDX-License-Identifier: Apache-2.0
"""The stimulus loop on a design with faults that can be switched on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hw.rtlsim.compile import build
from hw.streams.sim import ProtocolError, Simulation, SimulationError, StallError, Stream

# in0 -> +1 -> out0 through one register; in1 -> out1 likewise in two lanes of 12 bits side by side; `fault`
# plants a fault in out0.
PLAYGROUND = """\
module playground (
    input  logic        ap_clk, ap_rst_n,
    input  logic [71:0] in0_V_TDATA, input logic in0_V_TVALID, output logic in0_V_TREADY,
    output logic [71:0] out0_V_TDATA, output logic out0_V_TVALID, input logic out0_V_TREADY,
    input  logic [1:0][11:0] s_tdata, input  logic [1:0] s_tvalid, output logic [1:0] s_tready,
    output logic [1:0][11:0] m_tdata, output logic [1:0] m_tvalid, input  logic [1:0] m_tready,
    input  logic [2:0]  fault,
    output logic [31:0] accepted
);
  localparam logic [2:0] Corrupt = 1, Swallow = 2, FallingValid = 3, MovingPayload = 4;
  localparam logic [2:0] Report = 5, Finish = 6;
  wire take = in0_V_TVALID && in0_V_TREADY;
  wire fifth = accepted % 5 == 4;
  assign in0_V_TREADY = !out0_V_TVALID || out0_V_TREADY;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      out0_V_TVALID <= 1'b0;
      accepted <= '0;
    end else begin
      if (in0_V_TREADY) begin
        out0_V_TVALID <= in0_V_TVALID && !(fault == Swallow && fifth);
        out0_V_TDATA <= in0_V_TDATA + 72'd1 + ((fault == Corrupt && fifth) ? 72'd1 << 70 : 72'd0);
      end else begin
        if (fault == FallingValid) out0_V_TVALID <= 1'b0;
        if (fault == MovingPayload) out0_V_TDATA[40] <= !out0_V_TDATA[40];
      end
      if (take) accepted <= accepted + 1;
      if (take && fault == Report && fifth) $error("beat %0d is bad", accepted);
      if (take && fault == Finish && fifth) $finish;
    end
  end
  for (genvar i = 0; i < 2; i++) begin : gen_lane
    assign s_tready[i] = !m_tvalid[i] || m_tready[i];
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) m_tvalid[i] <= 1'b0;
      else if (s_tready[i]) begin
        m_tvalid[i] <= s_tvalid[i];
        m_tdata[i] <= s_tdata[i];
      end
    end
  end
endmodule
"""
CORRUPT, SWALLOW, FALLING_VALID, MOVING_PAYLOAD, REPORT, FINISH = range(1, 7)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("playground") / "playground.sv"
    source.write_text(PLAYGROUND)
    return build("playground", [source])


@pytest.fixture
def sim(library: Path) -> Iterator[Simulation]:
    with Simulation(library) as simulation:
        simulation.reset()
        yield simulation


def beats(count: int, width: int = 9, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (count, width), dtype=np.uint8)


def plus_one(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """No carry leaves the lowest byte: beats() draws below 255."""
    return data + np.array([1] + [0] * 8, dtype=np.uint8)


def test_streams_and_signals_are_found(sim: Simulation) -> None:
    assert sorted(sim.ports, key=lambda stream: stream.name) == [
        Stream("in0_V", 72, "in"),
        Stream("m[0]", 12, "out"),
        Stream("m[1]", 12, "out"),
        Stream("out0_V", 72, "out"),
        Stream("s[0]", 12, "in"),
        Stream("s[1]", 12, "in"),
    ]
    assert sim.signals["accepted"].width == 32


def test_full_throughput_and_cycle_indices(sim: Simulation) -> None:
    data = beats(1000)
    result = sim.run({"in0_V": data}, {"out0_V": 1000})
    np.testing.assert_array_equal(result.outputs["out0_V"], plus_one(data))
    np.testing.assert_array_equal(result.in_cycles["in0_V"], np.arange(1000))
    np.testing.assert_array_equal(result.out_cycles["out0_V"], np.arange(1000) + 1)
    assert result.cycles == 1001
    assert sim.peek("accepted") == 1000


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.5, 0.0), (0.0, 0.5), (0.3, 0.6), (0.95, 0.9)])
def test_stalls_change_the_time_and_nothing_else(sim: Simulation, stall_in: float, stall_out: float) -> None:
    data = beats(400)
    result = sim.run({"in0_V": data}, {"out0_V": 400}, stall_in=stall_in, stall_out=stall_out, seed=7)
    np.testing.assert_array_equal(result.outputs["out0_V"], plus_one(data))
    slowest = max(1 / (1 - stall_in), 1 / (1 - stall_out))
    assert 0.8 * 400 * slowest < result.cycles < 2.5 * 400 * slowest
    assert (np.diff(result.out_cycles["out0_V"]) > 0).all()


def test_seed_decides_the_stalls(sim: Simulation) -> None:
    runs = [
        sim.run({"in0_V": beats(200)}, {"out0_V": 200}, stall_in=0.4, stall_out=0.4, seed=seed)
        .out_cycles["out0_V"]
        .tolist()
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_state_lasts_over_runs(sim: Simulation) -> None:
    data = beats(12)
    first = sim.run({"in0_V": data[:6]}, {"out0_V": 5})
    assert sim.idle(3) == ["out0_V"]
    second = sim.run({"in0_V": data[6:]}, {"out0_V": 7}, stall_in=0.5, seed=1)
    both = np.concatenate([first.outputs["out0_V"], second.outputs["out0_V"]])
    np.testing.assert_array_equal(both, plus_one(data))
    assert sim.idle(3) == []


def test_lanes_of_a_packed_vector_are_streams(sim: Simulation) -> None:
    lanes = {f"s[{i}]": beats(300, 2, seed=i) & np.array([255, 15], dtype=np.uint8) for i in range(2)}
    result = sim.run(lanes, {"m[0]": 300, "m[1]": 300}, stall_in=0.3, stall_out=0.3, seed=3)
    for i in range(2):
        np.testing.assert_array_equal(result.outputs[f"m[{i}]"], lanes[f"s[{i}]"])
    assert result.out_cycles["m[0]"].tolist() != result.out_cycles["m[1]"].tolist()


def test_a_planted_wrong_value_is_seen(sim: Simulation) -> None:
    sim.poke("fault", CORRUPT)
    data = beats(10)
    result = sim.run({"in0_V": data}, {"out0_V": 10})
    wrong = np.argwhere(result.outputs["out0_V"] != plus_one(data))
    assert wrong.tolist() == [[4, 8], [9, 8]]


def test_a_deadlock_names_the_stalled_streams(sim: Simulation) -> None:
    sim.poke("fault", SWALLOW)
    with pytest.raises(StallError, match=r"out0_V stopped after 8 of 10 beats \(valid=0 ready=1\)") as stall:
        sim.run({"in0_V": beats(10), "s[0]": beats(3, 2) & 15}, {"out0_V": 10, "m[0]": 3}, idle_limit=50)
    assert stall.value.stalled == ["out0_V"]
    assert stall.value.streams["in0_V"].done == 10
    assert "in0_V all 10 beats" in str(stall.value)
    assert stall.value.partial.out_cycles["out0_V"].tolist()[8:] == [-1, -1]


def test_an_input_that_is_not_taken_is_named(sim: Simulation) -> None:
    with pytest.raises(StallError, match="in0_V stopped after 1 of 4 beats") as stall:
        sim.run({"in0_V": beats(4)}, {}, idle_limit=20)
    assert (stall.value.streams["in0_V"].valid, stall.value.streams["in0_V"].ready) == (True, False)


def test_max_cycles(sim: Simulation) -> None:
    with pytest.raises(StallError, match="not finished after 5 cycles"):
        sim.run({"in0_V": beats(10)}, {"out0_V": 10}, max_cycles=5)


@pytest.mark.parametrize(
    ("fault", "complaint"), [(FALLING_VALID, "valid fell before ready"), (MOVING_PAYLOAD, "payload changed")]
)
def test_protocol_violations_are_found(sim: Simulation, fault: int, complaint: str) -> None:
    sim.poke("fault", fault)
    data = beats(50)
    assert len(sim.run({"in0_V": data}, {"out0_V": 50}).outputs["out0_V"]) == 50  # harmless while nobody stalls
    with pytest.raises(ProtocolError, match=rf"out0_V: {complaint}.*\(cycle \d+, beat \d+\)"):
        sim.run({"in0_V": data}, {"out0_V": 50}, stall_out=0.5, idle_limit=50)


@pytest.mark.parametrize(("fault", "message"), [(REPORT, "beat 4 is bad"), (FINISH, r"\$finish")])
def test_the_design_ends_the_simulation(sim: Simulation, fault: int, message: str) -> None:
    sim.poke("fault", fault)
    with pytest.raises(SimulationError, match=message):
        sim.run({"in0_V": beats(10)}, {"out0_V": 10})


def test_instances_do_not_share_state(library: Path) -> None:
    with Simulation(library) as one, Simulation(library) as two:
        one.reset()
        two.reset()
        one.run({"in0_V": beats(3)}, {"out0_V": 3})
        assert (one.peek("accepted"), two.peek("accepted")) == (3, 0)


def test_wrong_use_is_refused(sim: Simulation, library: Path) -> None:
    with pytest.raises(ValueError, match="no input stream out0_V"):
        sim.run({"out0_V": beats(1)}, {})
    with pytest.raises(ValueError, match=r"in0_V takes uint8 \(beats, 9\)"):
        sim.run({"in0_V": beats(1, 8)}, {})
    with pytest.raises(ValueError, match="stall_in"):
        sim.run({}, {}, stall_in=1.0)
    with pytest.raises(ValueError, match="does not fit"):
        sim.poke("fault", 8)
    with pytest.raises(ValueError, match="is an output"):
        sim.poke("accepted", 1)
    closed = Simulation(library)
    closed.close()
    with pytest.raises(SimulationError, match="closed"):
        closed.reset()


def test_a_missing_memory_file_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "rom.sv"
    source.write_text(
        """\
module rom (input logic ap_clk, input logic [1:0] address, output logic [7:0] word);
  logic [7:0] words[4];
  initial $readmemh("ir2net_no_such_file.dat", words);
  always_ff @(posedge ap_clk) word <= words[address];
endmodule
"""
    )
    with pytest.raises(SimulationError, match="ir2net_no_such_file"):
        Simulation(build("rom", [source]))
