# SPDX-License-Identifier: Apache-2.0
"""Streams under stress: what a design must bear, and the faults that only show there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hw import finn_env
from hw.design.design import Design
from hw.design.top import whole
from hw.rtlsim.compile import build
from hw.rtlsim.stress import StressError, check
from hw.rtlsim.whole import simulate
from hw.streams.sim import ProtocolError, Simulation, StallError
from tests.hw.design.graphs import designed, expected, random_frames, residual

# Every beat plus its number in the frame of eight, through one register.
COUNTER = """\
module counter #(parameter string Fault = "none") (
    input  logic ap_clk, ap_rst_n,
    input  logic [15:0] in0_V_TDATA, input  logic in0_V_TVALID, output logic in0_V_TREADY,
    output logic [15:0] out0_V_TDATA, output logic out0_V_TVALID, input  logic out0_V_TREADY
);
  logic [2:0] number;
  logic [15:0] stalls;
  logic done;
  wire again = Fault == "repeats" && stalls > 2 && !done && out0_V_TVALID;
  wire lost = Fault == "drops" && stalls > 2 && !done;
  assign in0_V_TREADY = (!out0_V_TVALID || out0_V_TREADY) && !again;
  always_ff @(posedge ap_clk) begin
    if (in0_V_TREADY) begin
      out0_V_TVALID <= in0_V_TVALID && !lost;
      out0_V_TDATA <= in0_V_TDATA + 16'(number);
      if (in0_V_TVALID) number <= number + 1;
      if (in0_V_TVALID && lost) done <= 1'b1;
    end else if (out0_V_TREADY) done <= 1'b1;
    else begin
      stalls <= stalls + 1;
      if (Fault == "moves") out0_V_TDATA <= '1;
      if (Fault == "falls") out0_V_TVALID <= 1'b0;
    end
    if (!ap_rst_n && Fault != "takes in reset") begin
      if (Fault != "keeps the count") number <= '0;
      out0_V_TVALID <= 1'b0;
      stalls <= '0;
      done <= 1'b0;
    end
  end
endmodule
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counter") / "counter.sv"
    path.write_text(COUNTER)
    return path


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("none", None, ""),
        ("drops", StallError, "out0_V stopped after 127 of 128 beats"),
        ("repeats", StressError, "out0_V: after a reset and with stalls"),
        ("moves", ProtocolError, "out0_V: payload changed"),
        ("falls", ProtocolError, "out0_V: valid fell before ready"),
        ("keeps the count", StressError, "out0_V: after a reset and with stalls, .* the first is 0"),
        ("takes in reset", ProtocolError, "out0_V: valid during reset"),
    ],
)
def test_faults_that_stalls_and_resets_show(fault: str, error: type[Exception], message: str, source: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (64, 2), dtype=np.uint8)
    numbers = (data.view("<u2")[:, 0] + np.arange(64, dtype=np.uint16) % 8).astype("<u2")
    wanted = numbers[:, None].view(np.uint8)
    with Simulation(build("counter", [source], parameters={"Fault": fault})) as simulation:
        simulation.reset()
        undisturbed = simulation.run({"in0_V": data}, {"out0_V": 64}).outputs["out0_V"]
        np.testing.assert_array_equal(undisturbed, wanted)  # nothing is wrong here, whatever the fault
        if error is None:
            check(simulation, {"in0_V": data}, {"out0_V": wanted})
            return
        with pytest.raises(error, match=message):
            check(simulation, {"in0_V": data}, {"out0_V": wanted})


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """A residual block with every inner stream in view, so that the protocol is watched there as well."""
    folder = tmp_path_factory.mktemp("residual")
    finn_env.setup(folder / "finn")
    design = designed(residual(size=4), {"in_b": 80}, folder)
    (design.rtl / f"{design.top}.v").write_text(whole(design, taps=True))
    return design


def test_a_thousand_frames_do_not_drift(design: Design) -> None:
    model = residual(size=4)
    kinds = random_frames(model, 5)
    order = np.random.default_rng(3).integers(0, len(kinds), 1000)
    result = simulate(design, kinds[order], stall_in=0.3, stall_out=0.3, seed=4, interrupt=True)
    np.testing.assert_array_equal(result.outputs, expected(model, kinds)[order])


def test_the_frame_after_a_reset_is_right(design: Design) -> None:
    model = residual(size=4)
    frames = random_frames(model, 2)
    for seed in range(5):
        result = simulate(design, frames, stall_in=0.1 * seed, stall_out=0.4, seed=seed, interrupt=True)
        np.testing.assert_array_equal(result.outputs, expected(model, frames))


def test_taps_change_no_cycle(design: Design, tmp_path: Path) -> None:
    plain = designed(residual(size=4), {"in_b": 80}, tmp_path)
    frames = random_frames(residual(size=4), 3)
    runs = [simulate(one, frames, stall_in=0.2, stall_out=0.2, seed=1) for one in (design, plain)]
    assert runs[0].cycles == runs[1].cycles
    np.testing.assert_array_equal(runs[0].frame_ends, runs[1].frame_ends)
