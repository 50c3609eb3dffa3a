# SPDX-License-Identifier: Apache-2.0
"""results.json: figures of each bench with their targets, and when, where and with which tools they were measured."""

from __future__ import annotations

import operator
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import psutil
from pydantic import RootModel, ValidationError
from rich.table import Table

from flows.errors import UserError
from flows.pipeline import TOOLS
from flows.report.summary import Strict
from hw.cxx import compiler, cxx

Figure = bool | int | float | str | dict[str, float] | None


class Machine(Strict):
    """Where a bench ran."""

    cpu: str
    cores: int
    memory_gb: float
    load: float
    """Processes that wanted a core, on average over the minute before; 0 where the machine was idle."""

    @classmethod
    def here(cls) -> Machine:
        """This machine, now."""
        model = re.search(r"^model name\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return cls(
            cpu=model[1].strip() if model else platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
            load=round(os.getloadavg()[0], 2),
        )


class Check(Strict):
    """A figure against its target; `met` is null where it was not measured."""

    figure: str
    measured: float | None
    target: str
    met: bool | None


@dataclass(frozen=True)
class Target:
    """What a figure has to be at least, or at most."""

    figure: str
    sense: Literal[">=", "<="]
    limit: float

    def check(self, figures: Mapping[str, Figure]) -> Check:
        """Compare; a figure that is not there was not measured."""
        value = figures.get(self.figure)
        measured = float(value) if isinstance(value, (int, float)) else None
        compare = {">=": operator.ge, "<=": operator.le}[self.sense]
        met = None if measured is None else compare(measured, self.limit)
        return Check(figure=self.figure, measured=measured, target=f"{self.sense} {self.limit:g}", met=met)


class Result(Strict):
    """One bench: measured, or skipped with the reason."""

    date: str
    version: str | None
    machine: Machine
    tools: dict[str, str]
    conditions: str
    skipped: str | None
    figures: dict[str, Figure]
    checks: tuple[Check, ...]


class Results(RootModel[dict[str, Result]]):
    """The content of results.json, by the names of the benches."""

    @classmethod
    def read(cls, path: Path) -> Results:
        """Earlier results; none where there is no file. Raises UserError for a file that holds something else."""
        try:
            return cls.model_validate_json(path.read_text()) if path.exists() else cls({})
        except (OSError, ValidationError) as error:
            raise UserError(f"{path} does not hold results of this bench", "remove it") from error

    def write(self, path: Path) -> None:
        """Replace the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(self.model_dump_json(indent=2) + "\n")
        part.replace(path)

    def table(self) -> Table:
        """Every figure that has a target."""
        table = Table("bench", "figure", "measured", "target", "met")
        for name, result in self.root.items():
            for check in result.checks:
                measured = "–" if check.measured is None else f"{check.measured:,.6g}"
                met = {None: "–", True: "[green]✓[/]", False: "[red]✗[/]"}[check.met]
                table.add_row(name, check.figure, measured, check.target, met)
        return table


def tools() -> dict[str, str]:
    """Versions of what the figures depend on."""
    found = {"python": platform.python_version()} | {name: version(name) for name in TOOLS}
    return found if compiler() is None else found | {"g++": _output(*cxx(), "-dumpfullversion") or "unknown"}


def commit(root: Path) -> str | None:
    """The commit that is measured, with "-dirty" where files but its results differ; None outside a git clone."""
    git = ("git", "-C", str(root))
    found = _output(*git, "describe", "--always", "--abbrev=12", "--exclude=*")
    changed = _output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/*.json")
    return f"{found}-dirty" if found and changed else found


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
