# SPDX-License-Identifier: Apache-2.0
"""`make fuzz`: many random networks up the ladder.

A run that was cut off goes on where it stopped: what was exact before is not tried again. A network that fails is
shrunk and saved in tests/fuzz/cases, where it is a test from then on.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.ladder import climb
from tests.fuzz.networks import Case, cases

SAVED = Path(__file__).parent / "cases"
BATCH = 10
"""Networks drawn with one seed: hypothesis soon varies what it has drawn, a new seed starts afresh."""


class Results:
    """What has been tried, a line of JSON each: case, "exact" or what went wrong, seconds, cells and their forms."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._outcomes: dict[str, str] = {}
        self._forms: dict[str, list[str]] = {}
        self.seconds = 0.0
        if file.exists():
            for line in file.read_text().splitlines():
                self._note(json.loads(line))

    def add(self, case: Case, outcome: str, seconds: float, forms: list[str]) -> None:
        """Store an outcome at once."""
        row = {"case": case.key, "outcome": outcome, "seconds": round(seconds, 1), "forms": forms}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._note(row)

    def _note(self, row: dict[str, Any]) -> None:
        self._outcomes[row["case"]] = row["outcome"]
        self._forms[row["case"]] = row.get("forms", [])
        self.seconds += row["seconds"]

    def is_exact(self, case: Case) -> bool:
        """Whether the case has come up the ladder before."""
        return self._outcomes.get(case.key) == "exact"

    def exact(self) -> list[Case]:
        """All that have."""
        return [Case.from_key(key) for key, outcome in self._outcomes.items() if outcome == "exact"]

    def forms(self) -> collections.Counter[str]:
        """In how many of these each cell and form was."""
        exact = [key for key, outcome in self._outcomes.items() if outcome == "exact"]
        return collections.Counter(form for key in exact for form in self._forms[key])


def run_batch(number: int, results: Results) -> str | None:
    """Draw and run a batch; returns the file of the shrunk case that failed, if one did."""
    failed: list[Case] = []

    @seed(number)
    @settings(
        max_examples=BATCH, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    @given(cases())
    def each(case: Case) -> None:
        if results.is_exact(case):
            return
        began = time.monotonic()
        found = attempt(case)
        problem = found if isinstance(found, Exception) else None
        outcome = "exact" if problem is None else f"{type(problem).__name__}: {problem}"
        results.add(case, outcome, time.monotonic() - began, [] if isinstance(found, Exception) else found)
        print(f"{outcome[:200]}: {case.key}", flush=True)
        if problem is not None:
            failed.append(case)
            raise problem

    try:
        each()
    except Exception:
        if not failed:
            raise
        path = SAVED / f"batch_{number}.json"
        SAVED.mkdir(exist_ok=True)
        path.write_text(failed[-1].key + "\n")  # hypothesis runs the smallest failing case last
        return path.name
    return None


def attempt(case: Case) -> list[str] | Exception:
    """The cells and forms of a case, or what goes wrong with it; what the tools print is dropped."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        try:
            return climb(case, Path(folder))
        except Exception as error:
            return error


def count(results: Results) -> Iterator[str]:
    """Lines: how many were exact, of which kinds, and how many had each cell and form; what is rare is marked."""
    exact = results.exact()
    kinds = collections.Counter(kind for case in exact for kind in case.kinds)
    yield f"{len(exact)} networks exact in {results.seconds / 3600:.1f} hours"
    for title, counted in (("drawn", kinds), ("cells and forms", results.forms())):
        yield title
        for kind, number in sorted(counted.items()):
            yield f"  {kind:<60}{number:>5}{'   fewer than ten' if number < 10 else ''}"


def main() -> int:
    """Run; 1 if a network failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="networks in all, those of earlier runs included")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = Results(options.folder / "results.jsonl")
    saved = []
    batch = options.seed * 1_000_000
    while len(results.exact()) < options.count:
        batch += 1
        failure = run_batch(batch, results)
        if failure:
            saved.append(failure)
    print("\n".join(count(results)))
    if saved:
        print(f"failed, shrunk and saved in {SAVED}: {', '.join(saved)}")
    return 1 if saved else 0


if __name__ == "__main__":
    sys.exit(main())
