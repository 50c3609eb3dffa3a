# SPDX-License-Identifier: Apache-2.0
"""Runs a compiled design: AXI streams in and out as byte arrays, cycle by cycle in C++ (harness.cpp)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Beats = npt.NDArray[np.uint8]
    Cycles = npt.NDArray[np.int64]
else:
    Beats = Cycles = np.ndarray  # the numpy of older boards has no numpy.typing

_CLOCKS = ("ap_clk", "clk_i", "clk", "aclk")
_RESETS = ("ap_rst_n", "rst_ni", "rst_n", "aresetn")
_DATA = re.compile(r"^(?P<base>.*?)_?(?P<suffix>TDATA|tdata)(?P<tail>_i|_o|)$")
_WORKING_FOLDER = threading.Lock()
_BUDGET = 1_000_000  # cycles of one call into C++: between calls Python sees Ctrl-C
_DONE, _MORE, _STALLED, _TOO_LONG, _PROTOCOL = range(5)


class SimulationError(RuntimeError):
    """The design ended the simulation: $finish, $error, $fatal, an assertion, a missing memory file."""


class ProtocolError(SimulationError):
    """A stream broke the AXI handshake: valid fell, or the payload changed, before ready."""


@dataclass(frozen=True)
class Stream:
    """An AXI stream at the top, e.g. "in0_V". Direction: "in" or "out", seen from the design, or "tap".

    A tap's data, valid and ready are all outputs: a stream between two parts of the design, which is watched.
    """

    name: str
    width_bits: int
    direction: str

    @property
    def bytes_per_beat(self) -> int:
        """Columns of the byte arrays of this stream."""
        return (self.width_bits + 7) // 8


@dataclass(frozen=True)
class Progress:
    """How far a stream got (a tap also beyond what is kept), and its handshake signals in the last cycle."""

    direction: str
    done: int
    expected: int
    valid: bool
    ready: bool

    def __str__(self) -> str:
        return f"{self.done} of {self.expected} beats (valid={self.valid:d} ready={self.ready:d})"


@dataclass(frozen=True)
class RunResult:
    """Outcome of a run.

    `outputs`: stream name -> uint8 (beats, bytes), of taps as well. `out_cycles`, `in_cycles`: stream name -> the
    cycle of each transfer, counted from the start of the run. `cycles`: from there to the last transfer.
    """

    outputs: dict[str, Beats]
    cycles: int
    out_cycles: dict[str, Cycles]
    in_cycles: dict[str, Cycles]


class StallError(RuntimeError):
    """A run that did not finish.

    `streams`: the progress of every stream. `stalled`: names of the unfinished ones. `partial`: what came
    out; beats that did not come have the cycle index -1.
    """

    def __init__(self, reason: str, streams: dict[str, Progress], partial: RunResult) -> None:
        self.streams = streams
        self.partial = partial
        waited = {name: p for name, p in streams.items() if p.direction != "tap"}
        self.stalled = [name for name, p in waited.items() if p.done < p.expected]
        finished = [f"{name} all {p.expected} beats" for name, p in waited.items() if name not in self.stalled]
        stopped = [f"{name} stopped after {streams[name]}" for name in self.stalled]
        tail = f"; finished: {', '.join(finished)}" if finished else ""
        super().__init__(f"{reason}: {'; '.join(stopped)}{tail}")


@dataclass(frozen=True)
class Signal:
    """A top-level port by its number: name, bits, and whether it is driven from outside."""

    index: int
    name: str
    width: int
    is_input: bool


@dataclass
class _Attached:
    """A stream in a run, with what C++ reads or fills: its beats, and the cycles of their transfers."""

    stream: Stream
    index: int
    data: Beats
    cycles: Cycles


class Simulation:
    """One instance of a compiled design.

    Its memory files are read as it is made, by paths relative to `folder` where one is given. Its state lasts over
    several run() calls; reset() starts anew (memories keep their content).

    Streams are found by name: X_TDATA, X_TVALID, X_TREADY (or lower case). Where valid and ready are N bits
    wide, data holds N streams side by side, named X[0] to X[N-1]. Streams that a run does not mention stay
    idle. Other ports: peek() and poke().
    """

    def __init__(self, library: Path, folder: Path | None = None) -> None:
        self._lib = _load(Path(library))
        message = ctypes.create_string_buffer(4096)
        with _working_in(folder):
            self._handle = self._lib.ir2_open(message, len(message))
        if not self._handle:
            raise SimulationError(f"{Path(library).name}: {message.value.decode(errors='replace')}")
        self.signals = self._list_signals()
        self._lib.ir2_wire(self._handle, self._find(_CLOCKS), self._find(("ap_clk2x",)), self._find(_RESETS))
        self._streams: dict[str, Stream] = {}
        self._index: dict[str, int] = {}
        self._find_streams()

    @property
    def ports(self) -> list[Stream]:
        """The streams found at the top, in the order of their ports."""
        return list(self._streams.values())

    def stream(self, name: str, direction: str) -> Stream:
        """The stream of a name and a direction; raises ValueError where there is none."""
        found = self._streams.get(name)
        if found is None or found.direction != direction:
            known = ", ".join(stream.name for stream in self.ports if stream.direction == direction)
            kind = "tap" if direction == "tap" else f"{direction}put stream"
            raise ValueError(f"no {kind} {name}; there are: {known or 'none'}")
        return found

    def reset(self, cycles: int = 16, *, offer: bool = False) -> None:
        """Hold the active-low reset for `cycles` clock cycles; all streams idle, or with `offer` the opposite.

        Then every source offers noise, of which nothing must enter the design, and every sink is ready. Raises
        ProtocolError for an output that is valid in the second half of the reset.
        """
        if self._lib.ir2_reset(self._open(), cycles, offer) == _PROTOCOL:
            raise self._protocol_error("in reset")

    def idle(self, cycles: int) -> list[str]:
        """Clock the design with all streams idle, and return the output streams that then offer a beat
        (TVALID high).
        """
        self._check(self._lib.ir2_idle(self._open(), cycles))
        outputs = [stream.name for stream in self.ports if stream.direction == "out"]
        return [name for name in outputs if self._lib.ir2_valid(self._handle, self._index[name])]

    def peek(self, name: str) -> int:
        """Value of a top-level port as an unsigned number."""
        port = self._port(name)
        size = (port.width + 7) // 8
        data = ctypes.string_at(self._lib.ir2_port_data(self._open(), port.index), size)
        return int.from_bytes(data, "little") & ((1 << port.width) - 1)

    def poke(self, name: str, value: int) -> None:
        """Drive a top-level input; it keeps the value until the next poke. Raises ValueError for a value
        that does not fit.
        """
        port = self._port(name)
        if not port.is_input:
            raise ValueError(f"{name} is an output")
        if not 0 <= value < 1 << port.width:
            raise ValueError(f"{value} does not fit the {port.width} bits of {name}")
        size = (port.width + 7) // 8
        ctypes.memmove(self._lib.ir2_port_data(self._open(), port.index), value.to_bytes(size, "little"), size)

    def settle(self) -> None:
        """Evaluate the design without a clock edge, so that peek() sees what poke() changed."""
        self._check(self._lib.ir2_settle(self._open()))

    def run(
        self,
        inputs: Mapping[str, Beats],
        outputs: Mapping[str, int],
        *,
        taps: Mapping[str, int] | None = None,
        stall_in: float = 0.0,
        stall_out: float = 0.0,
        seed: int = 0,
        max_cycles: int | None = None,
        idle_limit: int = 100_000,
        check_protocol: bool = True,
    ) -> RunResult:
        """Feed `inputs` and collect `outputs` until every beat is transferred.

        `inputs`: stream name -> uint8 (beats, bytes per beat), little-endian. `outputs`: stream name ->
        number of beats. Beats beyond that number stay in the design for the next run. `taps`: name -> beats to
        keep, for which nothing waits. `stall_in` and
        `stall_out` in [0, 1) are the probabilities, each cycle and stream, of holding back a new input beat
        and of refusing an output beat, drawn from `seed`.

        Raises StallError when no stream transfers anything for `idle_limit` cycles or after `max_cycles`;
        ProtocolError; SimulationError; ValueError for unknown streams and arrays of a wrong shape.
        """
        for name, probability in (("stall_in", stall_in), ("stall_out", stall_out)):
            if not 0.0 <= probability < 1.0:
                raise ValueError(f"{name} must be in [0, 1), not {probability}")
        parts = {name: self._feed(name, data) for name, data in inputs.items()}
        for direction, counts in (("out", outputs), ("tap", taps or {})):
            parts.update((name, self._drain(name, beats, direction)) for name, beats in counts.items())
        handle = self._open()
        limit = -1 if max_cycles is None else max_cycles
        self._lib.ir2_begin(handle, seed & (2**64 - 1), stall_in, stall_out, idle_limit, limit, check_protocol)
        for part in parts.values():
            self._lib.ir2_attach(handle, part.index, part.data.ctypes.data, len(part.data), part.cycles.ctypes.data)
        status = _MORE
        while status == _MORE:
            status = self._lib.ir2_advance(handle, _BUDGET)
        cycles = int(self._lib.ir2_cycle(handle))
        if status == _PROTOCOL:
            raise self._protocol_error(f"cycle {cycles - 1}")
        result = _result(parts, cycles)
        limits = {_STALLED: f"no transfer for {idle_limit} cycles", _TOO_LONG: f"not finished after {limit} cycles"}
        if status in limits:
            raise StallError(f"{limits[status]} (cycle {cycles})", self._progress(parts), result)
        self._check(status)
        return result

    def close(self) -> None:
        """Free the design. Further calls raise SimulationError."""
        if getattr(self, "_handle", None):
            self._lib.ir2_close(self._handle)
            self._handle = None

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _open(self) -> int:
        if not self._handle:
            raise SimulationError("the simulation is closed")
        return int(self._handle)

    def _check(self, status: int) -> None:
        if status != _DONE:
            raise SimulationError(self._lib.ir2_error(self._handle).decode(errors="replace"))

    def _list_signals(self) -> dict[str, Signal]:
        lib, handle = self._lib, self._handle
        signals = {}
        for index in range(lib.ir2_port_count(handle)):
            name = lib.ir2_port_name(handle, index).decode()
            is_input = bool(lib.ir2_port_input(handle, index))
            signals[name] = Signal(index, name, lib.ir2_port_width(handle, index), is_input)
        return signals

    def _find(self, names: tuple[str, ...]) -> int:
        return next((self.signals[name].index for name in names if name in self.signals), -1)

    def _port(self, name: str) -> Signal:
        if name not in self.signals:
            raise ValueError(f"no port {name}; there are {', '.join(self.signals)}")
        return self.signals[name]

    def _find_streams(self) -> None:
        for data in list(self.signals.values()):
            match = _DATA.match(data.name)
            if match is None:
                continue
            valid, ready = (self._partner(data.name, match, signal) for signal in ("VALID", "READY"))
            if valid is None or ready is None or data.width % valid.width or valid.width != ready.width:
                continue
            lanes = valid.width
            direction = "in" if data.is_input else "out" if ready.is_input else "tap"
            for lane in range(lanes):
                name = match["base"] if lanes == 1 else f"{match['base']}[{lane}]"
                stream = Stream(name, data.width // lanes, direction)
                kind = ("out", "in", "tap").index(direction)
                self._streams[name] = stream
                self._index[name] = self._lib.ir2_add_stream(
                    self._handle, kind, stream.width_bits, lane, data.index, valid.index, ready.index
                )

    def _partner(self, data: str, match: re.Match[str], signal: str) -> Signal | None:
        suffix = f"T{signal}" if match["suffix"].isupper() else f"t{signal.lower()}"
        stem = data[: match.start("suffix")] + suffix
        return next((self.signals[stem + tail] for tail in ("", "_i", "_o") if stem + tail in self.signals), None)

    def _feed(self, name: str, data: Beats) -> _Attached:
        stream = self.stream(name, "in")
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != stream.bytes_per_beat:
            shape = f"uint8 (beats, {stream.bytes_per_beat})"
            raise ValueError(f"{name} takes {shape}, not {data.dtype} {data.shape}")
        return self._attach(stream, np.ascontiguousarray(data))

    def _drain(self, name: str, beats: int, direction: str) -> _Attached:
        stream = self.stream(name, direction)
        return self._attach(stream, np.zeros((int(beats), stream.bytes_per_beat), dtype=np.uint8))

    def _attach(self, stream: Stream, data: Beats) -> _Attached:
        return _Attached(stream, self._index[stream.name], data, np.full(len(data), -1, dtype=np.int64))

    def _progress(self, parts: dict[str, _Attached]) -> dict[str, Progress]:
        lib, handle = self._lib, self._handle
        progress = {}
        for name, part in parts.items():
            done = int(lib.ir2_done(handle, part.index))
            valid, ready = bool(lib.ir2_valid(handle, part.index)), bool(lib.ir2_ready(handle, part.index))
            progress[name] = Progress(part.stream.direction, done, len(part.data), valid, ready)
        return progress

    def _protocol_error(self, when: str) -> ProtocolError:
        offender = self._lib.ir2_offender(self._handle)
        name = next(name for name, index in self._index.items() if index == offender)
        complaint = self._lib.ir2_complaint(self._handle).decode()
        done = self._lib.ir2_done(self._handle, offender)
        return ProtocolError(f"{name}: {complaint} ({when}, beat {done})")


def _result(parts: dict[str, _Attached], cycles: int) -> RunResult:
    given = {name: part for name, part in parts.items() if part.stream.direction == "in"}
    taken = {name: part for name, part in parts.items() if name not in given}
    return RunResult(
        outputs={name: part.data for name, part in taken.items()},
        cycles=cycles,
        out_cycles={name: part.cycles for name, part in taken.items()},
        in_cycles={name: part.cycles for name, part in given.items()},
    )


@contextlib.contextmanager
def _working_in(folder: Path | None) -> Iterator[None]:
    """Change to a folder meanwhile, one thread at a time."""
    with _WORKING_FOLDER:
        before = Path.cwd()
        os.chdir(str(folder or before))
        try:
            yield
        finally:
            os.chdir(str(before))


def _load(library: Path) -> ctypes.CDLL:
    """The library with the types of its C interface. Local symbols: all libraries export the same names."""
    lib = ctypes.CDLL(str(library.resolve()), mode=ctypes.RTLD_LOCAL)
    pointer, number, wide, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
    unsigned, real = ctypes.c_uint, ctypes.c_double
    signatures: dict[str, tuple[object, list[object]]] = {
        "ir2_open": (pointer, [text, ctypes.c_size_t]),
        "ir2_close": (None, [pointer]),
        "ir2_error": (text, [pointer]),
        "ir2_port_count": (number, [pointer]),
        "ir2_port_name": (text, [pointer, number]),
        "ir2_port_width": (unsigned, [pointer, number]),
        "ir2_port_input": (number, [pointer, number]),
        "ir2_port_data": (pointer, [pointer, number]),
        "ir2_wire": (None, [pointer, number, number, number]),
        "ir2_add_stream": (number, [pointer, number, unsigned, unsigned, number, number, number]),
        "ir2_settle": (number, [pointer]),
        "ir2_reset": (number, [pointer, wide, number]),
        "ir2_idle": (number, [pointer, wide]),
        "ir2_begin": (None, [pointer, ctypes.c_uint64, real, real, wide, wide, number]),
        "ir2_attach": (None, [pointer, number, pointer, wide, pointer]),
        "ir2_advance": (number, [pointer, wide]),
        "ir2_cycle": (wide, [pointer]),
        "ir2_done": (wide, [pointer, number]),
        "ir2_valid": (number, [pointer, number]),
        "ir2_ready": (number, [pointer, number]),
        "ir2_offender": (number, [pointer]),
        "ir2_complaint": (text, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    return lib
