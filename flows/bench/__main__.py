# SPDX-License-Identifier: Apache-2.0
"""`make bench`: measure, write bench/results.json and show what met its target. A missed target is no failure."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.bench.measure import BENCHES, ROOT, Bench
from flows.bench.results import Machine, Result, Results, commit, tools
from flows.build import main
from flows.errors import UserError
from flows.pipeline import Skipped
from hw.errors import ToolFailure

WORK = ROOT / "build" / "bench"

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    only: Annotated[str | None, typer.Option(help=f"One of {', '.join(BENCHES)}; the others' results stay.")] = None,
    output: Annotated[Path, typer.Option(help="The results.")] = ROOT / "bench" / "results.json",
) -> None:
    """Measure the main job, its design and the XNOR-popcount unit."""
    console = Console()
    if only is not None and only not in BENCHES:
        raise UserError(f"unknown bench '{only}'", f"there are {', '.join(BENCHES)}")
    results = Results({}) if only is None else Results.read(output)
    version = commit(ROOT)  # of the start: the results are a file of it too
    for name in BENCHES if only is None else (only,):
        with console.status(f"{name}: {BENCHES[name].conditions}"):
            found = results.root | {name: run(BENCHES[name], WORK / name, version)}
        results = Results({known: found[known] for known in BENCHES if known in found})
        results.write(output)  # what is measured is kept, should the next one be cut off
    console.print(results.table())
    for name, result in results.root.items():
        if result.skipped is not None:
            console.print(f"{name} skipped: {result.skipped}", markup=False, soft_wrap=True)
    console.print(f"-> {output}", markup=False, soft_wrap=True)


def run(bench: Bench, folder: Path, version: str | None) -> Result:
    """Measure in `folder`, which is emptied; a bench that cannot run says why."""
    date, machine = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()), Machine.here()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    skipped = None
    try:
        figures = bench.measure(folder)
    except (Skipped, ToolFailure, OSError) as why:
        figures, skipped = {}, str(why)
    return Result(
        date=date,
        version=version,
        machine=machine,
        tools=tools(),
        conditions=bench.conditions,
        skipped=skipped,
        figures=figures,
        checks=tuple(target.check(figures) for target in bench.targets),
    )


if __name__ == "__main__":
    main(app)
