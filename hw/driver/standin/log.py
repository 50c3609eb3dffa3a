# SPDX-License-Identifier: Apache-2.0
"""What the stand-in saw, in order and with the time, and how long its accelerator waited for the host."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

KEPT = 10_000
"""Events; older ones are dropped."""


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        what: "flush" or "invalidate", of a buffer; "start", of a run, once every DMA is started; "finish", of its
            simulation; "asked", the first time that the host asks whether the run has finished; "seen", when it
            is told so.
        value: of a flush or an invalidate the address, of a start the address of the input, of a finish the cycles.
        at: seconds, of a clock that begins somewhere.
    """

    what: str
    value: int
    at: float


class Log:
    """The last events."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT)

    def note(self, what: str, value: int = 0) -> None:
        """Something happened now."""
        self.events.append(Event(what, value, time.perf_counter()))

    def waits(self, clock_hz: float) -> list[int]:
        """Cycles in which an accelerator of that clock waits for the host, before each run but the first.

        The simulation takes longer than the accelerator does. Its time does not count, the host's does: what passes
        until the host asks for the end of a run, as far as that is longer than the run's cycles, and what passes
        from there to the next start.
        """
        found: list[int] = []
        started = asked = seen = 0.0
        cycles = 0
        for event in list(self.events):
            if event.what == "asked":
                asked = event.at
            elif event.what == "finish":
                cycles = event.value
            elif event.what == "seen":
                seen = event.at
            elif event.what == "start":
                if seen:
                    late = max(0.0, (asked - started) * clock_hz - cycles)
                    found.append(round(late + (event.at - seen) * clock_hz))
                started, asked, seen = event.at, 0.0, 0.0
        return found
