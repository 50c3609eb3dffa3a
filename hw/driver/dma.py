# SPDX-License-Identifier: Apache-2.0
"""FINN's two kinds of DMA behind one interface: start a transfer, ask whether it has finished."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

from .errors import BusyError, DmaTimeoutError

if TYPE_CHECKING:
    import numpy.typing as npt

CONTROL, ADDRESS_LOW, ADDRESS_HIGH, FRAMES = 0x00, 0x10, 0x14, 0x1C
START, DONE, IDLE = 0x1, 0x2, 0x4
"""Bits of CONTROL; DONE falls when it is read."""
SPIN_S = 0.002
"""A frame takes less than that: polling longer than this would only heat the processor."""

ALIGNMENT = 64
"""Bytes of the widest beat that FINN's IODMA takes from memory: a transfer begins at a multiple."""


def place(values: npt.NDArray[Any]) -> Any:
    """The part of pynq's buffer in which an array lies, as bytes, so that a DMA can start there.

    None where it lies in none, has gaps or another order, or begins between two beats: then it has to be copied.
    """
    owner = values
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    address = getattr(owner, "device_address", None)
    # an array that numpy made from a buffer, say a copy, says that it has an address but owns its memory
    if address is None or owner.flags.owndata or not (values.flags.c_contiguous and owner.flags.c_contiguous):
        return None
    offset = values.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    if (address + offset) % ALIGNMENT:
        return None
    return owner.reshape(-1).view(np.uint8)[offset : offset + values.nbytes]


class ZynqDma:
    """FINN's IODMA on Zynq, through its registers."""

    def __init__(self, name: str, ip: Any) -> None:
        self.name = name
        self._ip = ip
        self._running = False

    def start(self, buffer: Any, frames: int) -> None:
        """Move `frames` frames from or to a buffer. Raises BusyError where it is still moving the last ones."""
        if not self._ip.read(CONTROL) & IDLE:
            raise BusyError(f"{self.name} is not idle")
        address = buffer.device_address
        self._ip.write(ADDRESS_LOW, address & 0xFFFFFFFF)
        self._ip.write(ADDRESS_HIGH, address >> 32)
        self._ip.write(FRAMES, frames)
        self._ip.write(CONTROL, START)
        self._running = True

    def done(self) -> bool:
        """Whether the last transfer has finished."""
        if self._running:
            status = self._ip.read(CONTROL)
            # another reader may have taken DONE; idle and not about to start says the same
            self._running = not (status & DONE or (status & IDLE and not status & START))
        return not self._running


class AlveoDma:
    """FINN's IODMA on Alveo: a kernel that pynq starts."""

    def __init__(self, name: str, kernel: Any) -> None:
        self.name = name
        self._kernel = kernel
        self._waiter: threading.Thread | None = None
        self._handle: Any = None

    def start(self, buffer: Any, frames: int) -> None:
        """Move `frames` frames from or to a buffer."""
        if not self.done():
            raise BusyError(f"{self.name} is not idle")
        self._handle = self._kernel.start(buffer, frames)
        if not hasattr(self._handle, "done"):
            # handles of older versions of pynq can only be waited for, without an end
            self._waiter = threading.Thread(target=self._handle.wait, daemon=True)
            self._waiter.start()

    def done(self) -> bool:
        """Whether the last transfer has finished."""
        if self._waiter is not None:
            return not self._waiter.is_alive()
        return self._handle is None or bool(self._handle.done)


def wait(outputs: Sequence[Any], inputs: Sequence[Any], timeout_s: float) -> None:
    """Until all outputs have finished.

    Raises:
        DmaTimeoutError: they have not in time; the message names every DMA that is stuck.
    """
    began = time.monotonic()
    pending: list[Any] = list(outputs)
    while True:
        pending = [dma for dma in pending if not dma.done()]
        if not pending:
            return
        waited = time.monotonic() - began
        if waited > timeout_s:
            stuck = tuple(dma.name for dma in [*inputs, *pending] if not dma.done())
            hint = (
                "the accelerator takes no more input"
                if any(dma.name in stuck for dma in inputs)
                else "all input was taken, but the output is not complete"
            )
            raise DmaTimeoutError(
                "{} not finished after {:g} s ({}): close the driver and open it again, which loads the bitfile "
                "anew".format(" and ".join(stuck), timeout_s, hint),
                stuck,
            )
        if waited > SPIN_S:
            time.sleep(0.0002)
