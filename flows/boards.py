# SPDX-License-Identifier: Apache-2.0
"""`--list-boards`: every board, and which of the designs that were built fit it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from flows.report.summary import COUNTED, Summary
from hw.boards.board import Board, UnknownBoard, available, load


def print_boards(console: Console, builds: Path) -> None:
    """Print the table; the reports below `builds` say what fits. Raises BoardFileError."""
    reports = read_reports(builds)
    networks = sorted({report.network for report in reports})
    rows = [("board", "part", "MHz", "frames/s", "LUT", "FF", "BRAM36", "DSP", "URAM", "shell", "memory", *networks)]
    for board in available():
        have = board.resources
        targets = [f"{name} {rate:.10g}" for name, rate in board.targets.items()]
        rates = ", ".join([f"{board.target_fps:.10g}", *targets])
        numbers = (have.lut, have.ff, have.bram36, have.dsp, have.uram)
        device = (board.name, board.part, f"{board.clock_mhz:.10g}", rates, *map(str, numbers))
        facts = (*device, board.shell, board.memory)
        rows.append((*facts, *(verdict(board, network, reports) for network in networks)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # plain lines, to be searched and cut
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), soft_wrap=True, markup=False)
    if not networks:
        console.print(f"what fits where is known once something was built: there is no report in {builds}")


def verdict(board: Board, network: str, reports: Sequence[Summary]) -> str:
    """What synthesis says about a network on a board: of a build for the board, or for one of the same family.

    The share is that of the design with the board's shell and DMAs.
    """
    found = [report for report in reports if report.network == network and report.resources.tool]
    own = [report for report in found if report.board == board.name]
    kin = [report for report in found if _family(report) == board.family]
    if not own and not kin:
        return "not built for this family"
    report = (own or sorted(kin, key=lambda other: (other.resources.lut or 0, other.board)))[0]
    used = {name: getattr(report.resources, name) + getattr(board.allowance, name) for name in COUNTED}
    shares = {name: used[name] / max(getattr(board.resources, name), 1) for name in COUNTED}
    tightest = max(shares, key=lambda name: shares[name])
    word = "fits" if shares[tightest] <= 1 else "does not fit"
    origin = "" if own else f", as built for {report.board}"
    return f"{word}: {100 * shares[tightest]:.0f} % {tightest.upper()}{origin}"


def read_reports(builds: Path) -> list[Summary]:
    """The reports of finished builds; one of another version is left out."""
    reports = []
    for path in sorted(builds.glob("*/report/summary.json")):
        try:
            reports.append(Summary.model_validate_json(path.read_text()))
        except (OSError, ValidationError):
            continue
    return reports


def _family(report: Summary) -> str | None:
    try:
        return load(report.board).family
    except UnknownBoard:
        return None
