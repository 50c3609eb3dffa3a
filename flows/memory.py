# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a process and of everything that it starts."""

from __future__ import annotations

import contextlib
import threading

import psutil

_PERIOD = 0.25  # seconds between two samples


class PeakMemory:
    """Largest resident memory of this process and its descendants, all together, while the watch is open.

    It is sampled. Pages that several processes share are counted in each of them, so it errs upwards.
    """

    def __init__(self) -> None:
        self._peak = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    @property
    def mb(self) -> int:
        """The largest sum seen so far, in MB (10^6 bytes)."""
        self._peak = max(self._peak, _resident())
        return round(self._peak / 1e6)

    def _watch(self) -> None:
        while not self._closed.wait(_PERIOD):
            self._peak = max(self._peak, _resident())


def _resident() -> int:
    """Bytes that this process and its descendants hold now."""
    process = psutil.Process()
    total = 0
    for member in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            total += member.memory_info().rss
    return total
