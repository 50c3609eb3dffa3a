# SPDX-License-Identifier: Apache-2.0
"""FINN's IODMA as its registers show it, in front of a simulated design.

Vitis HLS gives the IODMA these registers: 0x00 control (start, done, idle, ready), 0x10 and 0x14 the address, 0x1C
the number of frames. Done falls when it is read. Nothing moves before all DMAs are started: a design without input,
or whose output nobody takes, waits.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..dma import ADDRESS_HIGH, ADDRESS_LOW, ALIGNMENT, CONTROL, DONE, FRAMES, IDLE, START, ZynqDma
from ..errors import DeviceError
from .faults import Faults
from .memory import Memory

READY = 0x8


class Iodma:
    """One DMA: pynq's MMIO surface."""

    def __init__(self, dmas: Dmas, name: str, frame_bytes: int, is_input: bool) -> None:
        self.name = name
        self.frame_bytes = frame_bytes
        self.is_input = is_input
        self._dmas = dmas
        self._registers: dict[int, int] = {ADDRESS_LOW: 0, ADDRESS_HIGH: 0, FRAMES: 0}
        self.busy = False
        self._done = False

    @property
    def address(self) -> int:
        """Where the transfer begins."""
        return self._registers[ADDRESS_HIGH] << 32 | self._registers[ADDRESS_LOW]

    @property
    def frames(self) -> int:
        """Frames to move."""
        return self._registers[FRAMES]

    def read(self, offset: int = 0, length: int = 4) -> int:
        """Value of a register."""
        if offset != CONTROL:
            return self._register(offset)
        self._dmas.check()
        status = (START if self.busy else IDLE) | (DONE | READY if self._done else 0)
        if not self.is_input:
            self._dmas.asked(self._done)
        self._done = False
        return status

    def write(self, offset: int, value: int) -> None:
        """Set a register; a 1 in the first bit of control starts the transfer."""
        if offset == CONTROL:
            if value & START and not self.busy:
                self.busy, self._done = True, False
                self._dmas.started()
            return
        self._register(offset)
        if not isinstance(value, int):
            raise ValueError("Data type must be int or bytes.")  # as pynq does, also for numpy's integers
        if not 0 <= value < 1 << 32:
            raise DeviceError(f"{self.name}: {value:#x} does not fit the register at {offset:#x}")
        self._registers[offset] = value

    def finish(self) -> None:
        """The transfer is complete."""
        self.busy, self._done = False, True

    def _register(self, offset: int) -> int:
        if offset not in self._registers:
            raise DeviceError(f"{self.name} has no register at {offset:#x}")
        return self._registers[offset]


class Dmas:
    """All DMAs of a design. A run takes place in a thread of its own, once every DMA is started."""

    def __init__(self, engine: Any, memory: Memory, faults: Faults) -> None:
        self._engine = engine
        self._memory = memory
        self._faults = faults
        self._all: list[Iodma] = []
        self._error: DeviceError | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._asked = True
        self._log = memory.log

    def add(self, name: str, frame_bytes: int, is_input: bool) -> Iodma:
        """One more DMA."""
        dma = Iodma(self, name, frame_bytes, is_input)
        self._all.append(dma)
        return dma

    def check(self) -> None:
        """Raise what went wrong in the simulation; a board would only hang."""
        if self._error is not None:
            raise self._error

    def asked(self, done: bool) -> None:
        """Called when the host asks whether an output has finished."""
        if not self._asked:
            self._asked = True
            self._log.note("asked")
        if done:
            self._log.note("seen")

    def started(self) -> None:
        """Called when a DMA was started."""
        if not all(dma.busy for dma in self._all):
            return
        self._asked = False
        self._log.note("start", next(dma.address for dma in self._all if dma.is_input))
        stuck = self._faults.stuck
        if stuck is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        elif not any(dma.is_input and dma.name == stuck for dma in self._all):
            # an output that is stuck lets the inputs finish; an input that is stuck lets nothing finish
            for dma in self._all:
                if dma.name != stuck:
                    dma.finish()

    def stop(self) -> None:
        """Wait for the run's end; what it gives is thrown away."""
        self._stopped = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            (source,) = [dma for dma in self._all if dma.is_input]
            (sink,) = [dma for dma in self._all if not dma.is_input]
            if source.frames != sink.frames:
                raise DeviceError(f"{source.name} moves {source.frames} frames, {sink.name} {sink.frames}")
            data, target = self._range(source), self._range(sink)
            result = self._engine.run(data.reshape(source.frames, -1))
            if self._stopped:
                return
            target[:] = result.reshape(-1)
            if self._faults.flipped_bit:
                target[0] ^= np.uint8(1)
            self._log.note("finish", self._engine.cycles or 0)
            for dma in self._all:
                dma.finish()
        except DeviceError as error:
            self._error = error
        except Exception as error:  # a thread's exception would be lost
            self._error = DeviceError(f"the simulated accelerator failed: {error}")

    def _range(self, dma: Iodma) -> Any:
        """The bytes that a DMA moves. On a board a range that is too long goes on into foreign memory."""
        size = dma.frames * dma.frame_bytes
        if dma.address % ALIGNMENT:
            raise DeviceError(f"{dma.name} moves data at {dma.address:#x}, no multiple of {ALIGNMENT} bytes")
        memory = self._memory.at(dma.address)
        if memory is None:
            raise DeviceError(f"{dma.name} moves data at {dma.address:#x}, where no buffer is")
        if size > len(memory):
            raise DeviceError(f"{dma.name} moves {size} bytes, its buffer has {len(memory)}")
        return memory[:size]


class Kernel:
    """A DMA as pynq shows a kernel of an Alveo card, and the handle of the transfer that it has started."""

    def __init__(self, dma: Iodma) -> None:
        self._dma = ZynqDma(dma.name, dma)

    def start(self, buffer: Any, frames: int) -> Kernel:
        """Start a transfer."""
        self._dma.start(buffer, frames)
        return self

    @property
    def done(self) -> bool:
        """Whether it has finished."""
        return self._dma.done()
