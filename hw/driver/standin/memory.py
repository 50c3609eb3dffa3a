# SPDX-License-Identifier: Apache-2.0
"""Buffers that processor and device see differently until one side is flushed or invalidated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PAGE = 0x1000
_FIRST = 0x1_1000_0000
"""Above 4 GB: a driver that forgets the upper half of an address is found out."""


class Buffer(np.ndarray):
    """pynq's buffer: an array with an address on the device."""

    device_address: int
    _memory: Memory | None

    def __array_finalize__(self, parent: Any) -> None:
        # a part of a buffer is no buffer
        self._memory = None

    def flush(self) -> None:
        """What the processor wrote goes to the device."""
        self._device()[:] = self.view(np.ndarray).reshape(-1).view(np.uint8)

    def invalidate(self) -> None:
        """What the device wrote is seen by the processor."""
        self.view(np.ndarray).reshape(-1).view(np.uint8)[:] = self._device()

    sync_to_device = flush
    sync_from_device = invalidate

    def freebuffer(self) -> None:
        """Give the memory back."""
        if self._memory is not None:
            del self._memory[self.device_address]
            self._memory = None

    def _device(self) -> Bytes:
        if self._memory is None:
            raise ValueError("this buffer is freed, or a part of a buffer")
        return self._memory[self.device_address]


class Memory(Dict[int, "Bytes"]):
    """The device's side of its memory: the ranges that are allocated, by the addresses at which they begin."""

    def __init__(self) -> None:
        super().__init__()
        self._next = _FIRST

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        """A new buffer; both sides hold noise, as memory does."""
        buffer = np.full(shape, 0x5A, dtype).view(Buffer)
        buffer.device_address = self._next
        buffer._memory = self
        self[self._next] = np.full(buffer.nbytes, 0xA5, np.uint8)
        self._next += (max(buffer.nbytes, 1) + _PAGE) // _PAGE * _PAGE
        return buffer
