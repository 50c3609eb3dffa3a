# SPDX-License-Identifier: Apache-2.0
"""Figures from the reports that Vivado writes of a placed and routed design, as texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# Names of a resource in `report_utilization`; those of the 7 series and of UltraScale+ differ.
_ROWS = {
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers"),
    "bram36": ("Block RAM Tile",),
    "dsp": ("DSPs",),
    "uram": ("URAM",),
}
_PATH = re.compile(
    r"^Slack[^:\n]*:\s*(?P<slack_ns>-?[\d.]+)ns.*?"
    r"^  Source:\s*(?P<start>\S+).*?"
    r"^  Destination:\s*(?P<end>\S+).*?"
    r"^  Path Type:\s*(?P<kind>\w+).*?"
    r"^  Data Path Delay:\s*(?P<delay_ns>[\d.]+)ns\s+\(logic (?P<logic_ns>[\d.]+)ns.*?route (?P<routing_ns>[\d.]+)ns",
    re.MULTILINE | re.DOTALL,
)
"""A path as the timing summary has it, from its slack to its delay."""
_SLACKS = {"wns_ns": "WNS(ns)", "whs_ns": "WHS(ns)", "wpws_ns": "WPWS(ns)"}
_COLUMNS = re.compile(r"\S+(?: \S+)*")
"""A heading or figure of the timing summary's table: words a space apart."""


def tool(report: str) -> str | None:
    """The tool and version in a report's header, e.g. "Vivado v.2022.2"."""
    match = re.search(r"^\| Tool Version\s*: (Vivado v\.[\w.]+)", report, re.MULTILINE)
    return match[1] if match else None


def timing(report: str) -> dict[str, float | None]:
    """Worst slacks of setup, hold and pulse width in ns; None where nothing was constrained."""
    lines = iter(report.splitlines())
    for line in lines:
        headings = _COLUMNS.findall(line)
        if headings[:1] == [_SLACKS["wns_ns"]]:
            next(lines)  # the rule below the headings
            row = dict(zip(headings, _COLUMNS.findall(next(lines)), strict=False))
            return {name: _number(row.get(heading)) for name, heading in _SLACKS.items()}
    return dict.fromkeys(_SLACKS)


def paths(report: str) -> list[dict[str, Any]]:
    """The setup paths of a timing summary, worst first: start, end, slack_ns, delay_ns, logic_ns, routing_ns."""
    found = [match.groupdict() for match in _PATH.finditer(report) if match["kind"] == "Setup"]
    rows = [
        {name: float(value) if name.endswith("_ns") else value for name, value in path.items() if name != "kind"}
        for path in found
    ]
    return sorted(rows, key=lambda row: float(row["slack_ns"]))


def node_of(pin: str, nodes: Iterable[str]) -> str:
    """The node that a pin is in; FINN puts the name of its partition before a node's, so the longest match counts."""
    parts = pin.split("/")
    inside = (name for name in nodes for part in parts if part == name or part.endswith(f"_{name}"))
    return max(inside, key=len, default="")


def utilisation(report: str) -> dict[str, float | None]:
    """What the design takes of each resource; None where the report has no such row."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.splitlines() if line.startswith("|")]
    # a star beside a name refers to a note below the table
    used = {row[0].rstrip("*"): row[1] for row in rows if len(row) > 2}
    return {name: next((_number(used[row]) for row in names if row in used), None) for name, names in _ROWS.items()}


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"-?\d+(\.\d+)?", text) else None
