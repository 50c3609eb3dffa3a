# SPDX-License-Identifier: Apache-2.0
"""The simulated design: bytes of the input buffer to bytes of the output buffer."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hw.streams.packing import DataType, pack, unpack
from hw.streams.sim import Simulation

from ..errors import DeviceError

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]


REMEDY = {
    "cppsim": "compile it here with `python -m driver --make-standin`",
    "rtlsim": "build the package on this machine, with --verify rtlsim",
}
"""What to do where an engine has no library for this machine."""


def library(engine: str) -> str:
    """File name of an engine's library on this machine."""
    return f"{engine}-{platform.machine()}.so"


def open_engine(name: str, folder: Path, shapes: dict[str, Any]) -> Any:
    """The engine of a name. Raises DeviceError where the package has no library of it for this machine."""
    path = folder / library(name)
    if not path.is_file():
        found = sorted(other.name for other in folder.glob("*.so"))
        raise DeviceError(
            "{} is not there (there is {}): {}".format(path, ", ".join(found) or "no library", REMEDY[name])
        )
    try:
        return {"rtlsim": RtlEngine, "cppsim": CppEngine}[name](path, folder, shapes)
    except OSError as error:
        raise DeviceError(f"{path} cannot be loaded here ({error}): {REMEDY[name]}") from error


class RtlEngine:
    """The stitched Verilog, compiled by Verilator. Its memories are read as it is opened, by relative paths."""

    def __init__(self, path: Path, folder: Path, shapes: dict[str, Any]) -> None:
        self.cycles: int | None = None
        self._ishape, self._oshape = shapes["ishape_packed"][0], shapes["oshape_packed"][0]
        self._simulation = Simulation(path.resolve(), folder.parent / "rtl")
        self._simulation.reset()

    def run(self, data: Bytes) -> Bytes:
        """Frames (n, bytes) to results (n, bytes), back to back."""
        frames = len(data)
        beats = data.reshape(-1, self._ishape[-1])
        wanted = frames * int(np.prod(self._oshape[1:-1]))
        result = self._simulation.run({"s_axis_0": beats}, {"m_axis_0": wanted})
        self.cycles = int(result.cycles)
        bytes_out: Bytes = result.outputs["m_axis_0"].reshape(frames, -1)
        return bytes_out

    def reset(self) -> None:
        """As after loading."""
        self._simulation.reset()

    def close(self) -> None:
        """Free the design."""
        self._simulation.close()


class CppEngine:
    """The integer graph as one program (hw/cppsim); it knows no cycles."""

    cycles: int | None = None

    def __init__(self, path: Path, folder: Path, shapes: dict[str, Any]) -> None:
        self._shapes = shapes
        self._library = ctypes.CDLL(str(path.resolve()))
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self._library.cppsim_open.restype = pointer
        self._library.cppsim_open.argtypes = [ctypes.c_char_p, ctypes.c_char_p, size]
        self._library.cppsim_close.argtypes = [pointer]
        self._library.cppsim_run.argtypes = [pointer, pointer, pointer, size, ctypes.c_int, ctypes.c_uint, pointer]
        message = ctypes.create_string_buffer(200)
        constants = os.fsencode(str(folder / "constants.bin"))
        self._handle = ctypes.c_void_p(self._library.cppsim_open(constants, message, len(message)))
        if not self._handle:
            raise DeviceError("{}: {}".format(folder / "constants.bin", message.value.decode(errors="replace")))

    def run(self, data: Bytes) -> Bytes:
        """Frames (n, bytes) to results (n, bytes)."""
        frames, shapes = len(data), self._shapes
        idt, odt = DataType.of(shapes["idt"][0]), DataType.of(shapes["odt"][0])
        beats = data.reshape((frames, *shapes["ishape_packed"][0][1:]))
        source = np.ascontiguousarray(unpack(beats, idt, shapes["ishape_folded"][0][-1]))
        target = np.empty((frames, *shapes["oshape_folded"][0][1:]), odt.dtype)
        inputs = (ctypes.c_void_p * 1)(source.ctypes.data)
        outputs = (ctypes.c_void_p * 1)(target.ctypes.data)
        if self._library.cppsim_run(self._handle, inputs, outputs, frames, 0, 1, None):
            raise DeviceError(f"cppsim: not enough memory or threads for {frames} images")
        return pack(target, odt, shapes["oshape_packed"][0][-1]).reshape(frames, -1)

    def reset(self) -> None:
        """Nothing: a program keeps nothing from run to run."""

    def close(self) -> None:
        """Free the program."""
        if self._handle:
            self._library.cppsim_close(self._handle)
            self._handle = ctypes.c_void_p()
