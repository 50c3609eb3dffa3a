# SPDX-License-Identifier: Apache-2.0
"""Buffers that processor and device see differently until one side is flushed or invalidated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from .log import Log

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PAGE = 0x1000
_FIRST = 0x1_1000_0000
"""Above 4 GB: a driver that forgets the upper half of an address is found out."""


class Buffer(np.ndarray):
    """pynq's buffer: an array with an address on the device, as its parts have."""

    device_address: int
    _memory: Memory | None

    def __array_finalize__(self, parent: Any) -> None:
        # as pynq does: what is not a part but a copy gets an address as well, and a wrong one
        self._memory = getattr(parent, "_memory", None)
        if self._memory is not None:
            self.device_address = parent.device_address + _pointer(self) - _pointer(parent)

    def flush(self) -> None:
        """What the processor wrote goes to the device."""
        self._device("flush")[:] = self._bytes()

    def invalidate(self) -> None:
        """What the device wrote is seen by the processor."""
        self._bytes()[:] = self._device("invalidate")

    sync_to_device = flush
    sync_from_device = invalidate

    def freebuffer(self) -> None:
        """Give the memory back."""
        if self._memory is not None:
            del self._memory[self.device_address]
            self._memory = None

    def _bytes(self) -> Bytes:
        if not self.flags.c_contiguous:
            raise ValueError("this part of a buffer has gaps or another order")
        return self.view(np.ndarray).reshape(-1).view(np.uint8)

    def _device(self, what: str) -> Bytes:
        device = None if self._memory is None else self._memory.at(self.device_address)
        if self._memory is None or device is None or len(device) < self.nbytes:
            raise ValueError("this buffer is freed, or was never one")
        self._memory.log.note(what, self.device_address)
        return device[: self.nbytes]


def _pointer(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


class Memory(Dict[int, "Bytes"]):
    """The device's side of its memory: the ranges that are allocated, by the addresses at which they begin."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self._next = _FIRST

    def at(self, address: int) -> Bytes | None:
        """The bytes from an address to the end of its range; None where nothing is allocated."""
        for first, content in list(self.items()):
            if first <= address < first + len(content):
                return content[address - first :]
        return None

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        """A new buffer; both sides hold noise, as memory does."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        # the memory is not numpy's own, as with pynq
        buffer = Buffer(shape, dtype, bytearray(b"\x5a") * size)
        buffer.device_address = self._next
        buffer._memory = self
        self[self._next] = np.full(buffer.nbytes, 0xA5, np.uint8)
        self._next += (max(buffer.nbytes, 1) + _PAGE) // _PAGE * _PAGE
        return buffer
