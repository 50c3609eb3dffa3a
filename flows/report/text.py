# SPDX-License-Identifier: Apache-2.0
"""What a build says at its end, and what a dry run says: lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from flows.report.summary import COUNTED, Device, Folding, Summary

Row = tuple[str, str]
"""What it is about, and what is said of it."""


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A figure with thousands separators; a dash where it was not measured."""
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def conclusion(summary: Summary) -> Iterator[Row]:
    """Verdict and main figures of a build, each beside what was asked for."""
    speed, used = summary.performance, summary.resources
    compared = sum(row.mismatches is not None for row in summary.verification)
    yield (
        {None: "NOTHING COMPARED", 0: "EXACT"}.get(summary.mismatches, "DIFFERENT"),
        f"{number(summary.mismatches)} integers differ in {compared} comparisons",
    )
    yield "frames/s", f"{number(speed.fps)}{_target(speed.target_fps, speed.reached)}"
    milliseconds = None if speed.latency_cycles is None else speed.latency_cycles / summary.clock_mhz / 1000
    yield "latency", number(milliseconds, " ms", 3)
    yield (
        "device",
        "not synthesised" if used.lut is None else f"{_shares(used)}: {'fits' if used.fits else 'too large'}",
    )
    top1, source = accuracy(summary)
    yield "top-1", source if top1 is None else f"{top1:.2%} {source}"


def accuracy(summary: Summary) -> tuple[float | None, str]:
    """The share of images that are classified correctly, and of which images, by what: the hardware, or the card."""
    measured, card = summary.accuracy, summary.checkpoint
    if measured is not None:
        images = f"the {measured.images:,} test images of {measured.dataset}"
        return measured.top1, f"of {images}, by the hardware's integers ({measured.engine})"
    if card.top1 is None:
        return None, "not measured"
    images = f"{card.dataset}" if card.images is None else f"{card.images:,} test images of {card.dataset}"
    return card.top1, f"of {images}, as the card of the weights says; not measured in this build"


def estimate(folding: Folding, target_fps: float | None, clock_mhz: float, device: Device) -> Iterator[Row]:
    """What a folding is expected to reach, what keeps it from more, and what more would cost."""
    fps = clock_mhz * 1e6 / folding.cycles
    target = _target(target_fps, None if target_fps is None else fps >= target_fps)
    yield "frames/s", f"{number(fps)} expected{target}; {folding.cycles:,} cycles a frame, set by {folding.bottleneck}"
    yield "device", f"{_shares(folding.expected, device)} expected"
    yield "binds", folding.binds
    for faster in folding.faster:
        whose = faster.nodes[0] if len(faster.nodes) == 1 else f"{len(faster.nodes)} nodes folded otherwise"
        yield (
            f"{faster.fps / fps:.2f} times",
            f"{number(faster.fps)} frames/s take {faster.more_lut:+,} LUT ({whose}): "
            f"{'fits' if faster.fits else 'does not fit'}",
        )


def _target(fps: float | None, reached: bool | None) -> str:
    if fps is None:
        return " (the most that fits was asked for)"
    return f" (target {number(fps)}{ {None: '', True: ': reached', False: ': MISSED'}[reached] })"


def _shares(used: object, device: object = None) -> str:
    """Each resource with its share of the device."""
    available = device or getattr(used, "available", None)
    taken = [(name, getattr(used, name, None), getattr(available, name)) for name in COUNTED]
    return ", ".join(
        f"{number(value)} {name.upper()} ({value / have:.0%})"
        for name, value, have in taken
        if value is not None and have
    )
