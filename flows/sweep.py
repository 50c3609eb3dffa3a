# SPDX-License-Identifier: Apache-2.0
"""`ir2net sweep`: many builds, many at once, and what they reached beside each other.

Each is `ir2net build` in a process group of its own, whose cache and resume are the sweep's. So a build that fails, or
that the system kills for its memory, costs its own row; threads wait for them, or with `--ray` Ray's workers.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import flows.build
from flows.bench.pareto import Point, Series, front, picture, table
from flows.build import alone, main
from flows.config import BuildConfig, checked, load_config, read_options
from flows.errors import ToolError, UserError
from flows.guard import STOPPING
from flows.pipeline import first_line
from flows.report.summary import Expected, Folding, Performance, ResourceUse, Strict, Summary
from flows.report.text import accuracy, number
from flows.steps.fold import Folded
from hw.boards.board import load as load_board
from hw.cache import key_of

BUILD = (sys.executable, str(Path(flows.build.__file__).resolve()))
"""Runs a build with options of the command line, and those of a file."""
LONGEST = 40  # characters of an option in the name of a folder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Sweep(BaseModel):
    """The file: `rows`, and every combination of what `product` lists; `common` holds for all, where they say nothing.

    Everything in them is an option of a build.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    common: dict[str, Any] = {}
    product: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    rows: list[dict[str, Any]] = []

    def varied(self) -> Iterator[dict[str, Any]]:
        """The options of each build that are its own."""
        if self.product:
            yield from (
                dict(zip(self.product, each, strict=True)) for each in itertools.product(*self.product.values())
            )
        yield from self.rows


@dataclass(frozen=True)
class Plan:
    """A build to be run; its name is that of its folder too, and stays when others come or go: so the sweep resumes."""

    name: str
    config: BuildConfig


class Row(Strict):
    """What came of a build: figures, or why it failed. Those of a dry run are expected ones."""

    name: str
    command: str
    seconds: float = Field(ge=0)
    exit_code: int
    failure: str | None = None
    mismatches: int | None = None
    folding: Folding | None = None
    performance: Performance | None = None
    resources: ResourceUse | None = None
    point: Point | None = None
    pareto: bool = False

    @property
    def used(self) -> ResourceUse | Expected | None:
        """What it takes of the device, or is expected to."""
        return self.resources or (None if self.folding is None else self.folding.expected)


class Rows(Strict):
    """The content of sweep.json."""

    dry_run: bool
    rows: tuple[Row, ...]


Submit = Callable[..., "Future[tuple[int, str, float]]"]
"""Has `attempt` called with arguments, for a build of so many workers, somewhere and some time."""


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="YAML with common, product and rows (docs/sweep.md).")],
    output_dir: Annotated[Path | None, typer.Option(help="Default: build/ and the file's name.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Builds at once; default: as cores and --workers allow.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on Ray: local, auto or HOST:PORT of a cluster.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fold only: what is to be expected.")] = False,
) -> None:
    """Run builds over networks, boards, targets and other options; the same command goes on where one was cut off."""
    output = (output_dir or Path("build") / file.stem).resolve()
    plans = planned(file, output)
    jobs = jobs or max(1, len(os.sched_getaffinity(0)) // max(plan.config.workers for plan in plans))
    console = Console(highlight=False)
    with alone(output), crew(jobs, ray) as submit:
        where = f"{jobs} at once" if ray is None else f"on Ray ({ray})"
        console.print(f"{len(plans)} builds, {where}; what each says is in {escape(str(output))}/*.log", soft_wrap=True)
        rows = run(plans, output, submit, dry_run, console)
        write(rows, output, dry_run)
    console.print(shown(rows))
    console.print(f"-> {output}/sweep.md, sweep.json, pareto.svg", markup=False, soft_wrap=True)
    failed = [row for row in rows if row.failure is not None]
    if failed:
        kind = UserError if all(row.exit_code == UserError.exit_code for row in failed) else ToolError
        raise kind(f"{len(failed)} of {len(rows)} builds failed: {', '.join(row.name for row in failed)}")


def planned(file: Path, output: Path) -> list[Plan]:
    """The builds that the file asks for, each with a folder of its own below `output`; raises UserError."""
    asked = checked(Sweep, read_options(file))
    plans = []
    for own in asked.varied():
        try:
            config = load_config(None, asked.common | own)
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
        name = _name(config, own)
        folder = config.output_dir or output / name
        plans.append(Plan(name, config.model_copy(update={"output_dir": folder.resolve()})))
    if not plans:
        raise UserError(f"{file} asks for no build", "give it product or rows")
    folders = [plan.config.output for plan in plans]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise UserError(f"{file}: more than one build would be in {twice}", "leave out what stands twice")
    return plans


def _name(config: BuildConfig, own: dict[str, Any]) -> str:
    """Network, board, and what else the build does not share with all."""
    parts = [config.network, Path(config.board).stem]
    for option, value in own.items():
        if option not in {"network", "board", "model", "output_dir"}:
            text = f"{option}={value}"
            parts.append(text if len(text) <= LONGEST else f"{option}={key_of(text)[:8]}")
    return "-".join(re.sub(r"[^\w.=+-]+", "_", part) for part in parts)


def run(plans: Sequence[Plan], output: Path, submit: Submit, dry: bool, console: Console) -> list[Row]:
    """Run the builds, and say of each what came of it as it ends; rows are in the order of the plans."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("IR2NET_")}
    command = (*BUILD, "--config", "/dev/stdin", "--json", *(["--dry-run"] if dry else []))
    futures = {
        submit(
            plan.config.workers,
            command,
            plan.config.model_dump_json(exclude_defaults=True),
            str(output / f"{plan.name}.log"),
            str(Path.cwd()),
            settings,
        ): plan
        for plan in plans
    }
    found: dict[str, Row] = {}
    with console.status("") as status:
        for future in as_completed(futures):
            row = found[futures[future].name] = _row(futures[future], future, dry)
            status.update(f"{len(found)} of {len(plans)} builds")
            fps = row.point and f"{number(row.point.fps)} frames/s, {number(row.point.lut)} LUT"
            console.print(f"{row.name}: {row.failure or fps} ({row.seconds:.0f} s)", markup=False, soft_wrap=True)
    rows = [found[plan.name] for plan in plans]
    best = front([row.point for row in rows if row.point is not None])
    return [row.model_copy(update={"pareto": row.point in best}) for row in rows]


def attempt(
    command: Sequence[str], options: str, log: str, folder: str, settings: dict[str, str]
) -> tuple[int, str, float]:
    """Run a build; its exit code, what it printed or why it failed, and its seconds. Ray calls it elsewhere."""
    began = time.monotonic()
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        done = subprocess.run(
            command,
            input=options,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            cwd=folder,
            env=os.environ | settings,
            process_group=0,  # a terminal's Ctrl-C reaches the sweep, which ends its builds
            check=False,
        )
    said = done.stdout
    if done.returncode:
        told = [line for line in path.read_text().splitlines() if line.startswith("error: ")]
        by = f"ended by {signal.Signals(-done.returncode).name}" if done.returncode < 0 else "failed"
        said = told[-1].removeprefix("error: ") if told else f"{by} (log: {log})"
    return done.returncode, said, round(time.monotonic() - began, 1)


@contextmanager
def crew(jobs: int, address: str | None) -> Iterator[Submit]:
    """Who runs builds: so many threads here, or Ray where an address is given."""
    if address is not None:
        with _ray(address) as submit:
            yield submit
        return
    pool = ThreadPoolExecutor(jobs)
    try:
        yield lambda workers, *arguments: pool.submit(attempt, *arguments)
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C those that wait are not begun


@contextmanager
def _ray(address: str) -> Iterator[Submit]:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UserError("ray is not installed", "install it with: pip install 'ir2net-fpga[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        raise UserError(f"cannot reach Ray at {address}: {first_line(error)}", "see `ray status`") from error
    for received, handler in handlers.items():
        signal.signal(received, handler)
    try:
        task: Any = ray.remote(attempt)
        most = max(node["Resources"].get("CPU", 0) for node in ray.nodes())  # one that asks for more waits for ever
        yield lambda workers, *arguments: task.options(num_cpus=min(workers, most)).remote(*arguments).future()
    finally:
        ray.shutdown()


def _row(plan: Plan, future: Future[tuple[int, str, float]], dry: bool) -> Row:
    try:
        code, said, seconds = future.result()
    except Exception as error:  # the log cannot be written, or a node of Ray's is gone
        code, said, seconds = ToolError.exit_code, first_line(error), 0
    row = Row(name=plan.name, command=plan.config.command(), seconds=seconds, exit_code=code)
    if code:
        return row.model_copy(update={"failure": said})
    return row.model_copy(update=(_expected if dry else _built)(plan, said))


def _expected(plan: Plan, said: str) -> dict[str, Any]:
    folding, board = Folded.model_validate_json(said).folding, load_board(plan.config.board)
    clock = plan.config.clock_mhz or board.clock_mhz
    point = _point(
        plan, device=f"{board.part} ({board.name})", top1=None, clock_mhz=clock,
        fps=round(clock * 1e6 / folding.cycles, 1), lut=folding.expected.lut,
        where="nothing: estimated", source=plan.config.command(), data=plan.config.network,
    )  # fmt: skip
    return {"folding": folding, "point": point}


def _built(plan: Plan, said: str) -> dict[str, Any]:
    summary = Summary.model_validate_json(said)
    found: dict[str, Any] = {"mismatches": summary.mismatches, "folding": summary.folding}
    found |= {"performance": summary.performance, "resources": summary.resources}
    if summary.performance.fps is None:  # its simulation was not among the rungs
        return found
    return found | {
        "point": _point(
            plan, device=f"{summary.part} ({summary.board})", top1=accuracy(summary)[0], clock_mhz=summary.clock_mhz,
            fps=summary.performance.fps, lut=summary.resources.lut,
            where=f"RTL simulation, {summary.resources.tool or 'not synthesised'}",
            source=f"{plan.config.output}/report", data=summary.checkpoint.dataset,
        )
    }  # fmt: skip


def _point(plan: Plan, **found: Any) -> Point:
    """A row of the picture; a model of one's own has any bits."""
    return Point(design=plan.name, bits="1 × 1" if plan.config.model is None else "–", **found)


def shown(rows: Sequence[Row]) -> Table:
    """For the terminal; what nothing beats is marked."""
    grid = Table("build", "frames/s", "target", "LUT", "BRAM36", "DSP", "top-1", "integers", "front")
    for row in rows:
        used, point = row.used, row.point
        if used is None:
            grid.add_row(escape(row.name), f"[red]failed:[/] {escape(row.failure or '')}")
            continue
        reached = None if row.performance is None else row.performance.reached
        grid.add_row(
            escape(row.name),
            number(None if point is None else point.fps),
            {None: "–", True: "reached", False: "MISSED"}[reached],
            *(number(used.lut), number(used.bram36, digits=1), number(used.dsp)),
            "–" if point is None or point.top1 is None else f"{point.top1:.2%}",
            {None: "–", 0: "exact"}.get(row.mismatches, f"{row.mismatches} differ"),
            "●" if row.pareto else "",
        )
    return grid


def write(rows: Sequence[Row], output: Path, dry: bool) -> None:
    """sweep.json, sweep.md and pareto.svg, in place of those of an earlier run."""
    best = front([row.point for row in rows if row.point is not None])
    rest = [row.point for row in rows if row.point is not None and row.point not in best]
    failed = [f"- `{row.name}`: {row.failure}\n" for row in rows if row.failure is not None]
    page = [
        "# Sweep\n\nNothing beats these in frames a second, LUTs and accuracy:\n\n",
        table(best),
        "\n![Frames a second against LUTs](pareto.svg)\n",
        *(["\nThe others:\n\n", table(rest)] if rest else []),
        *(["\nFailed:\n\n", *failed] if failed else []),
    ]
    data = dict.fromkeys(point.data for point in best)
    lines: list[Series] = [([point for point in best if point.data == each], "o-", _label) for each in data]
    title = f"{'Expected' if dry else 'Built'}; lines join what nothing beats on the same data"
    with tempfile.TemporaryDirectory(dir=output) as made:
        part = Path(made)
        (part / "sweep.json").write_text(Rows(dry_run=dry, rows=tuple(rows)).model_dump_json(indent=2) + "\n")
        (part / "sweep.md").write_text("".join(page))
        picture([*lines, (rest, "x", _label)], title, part / "pareto.svg")
        for file in part.iterdir():
            file.replace(output / file.name)


def _label(point: Point) -> str:
    return f"{point.design}\n"


if __name__ == "__main__":
    main(app)
