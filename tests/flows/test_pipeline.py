# SPDX-License-Identifier: Apache-2.0
"""Cache, resume, --start/--stop/--force, and what a failing or interrupted step leaves behind."""

from __future__ import annotations

import io
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows import pipeline
from flows.config import BuildConfig
from flows.errors import Interrupted, ToolError, UserError
from flows.pipeline import Context, Pipeline, Skipped, Step
from flows.report.summary import StepResult
from hw.boards.board import load
from hw.errors import ToolFailure


class Value(StepResult):
    """What the first step found."""

    value: int = 0


class Sum(StepResult):
    """What the second one made of it."""

    sum: int = 0
    note: str = ""


class Recorder:
    """Two steps that count their runs; `second` reads what `first` wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[str] = []
        self.fault: BaseException | None = None
        self.extra: dict[str, Any] = {}
        self.given: list[Path] = []

    def first(self, context: Context) -> Value:
        self.runs.append("first")
        (context.folder / "value").write_text(str(context.config.images))
        (context.folder / "inner" / "rom").mkdir(parents=True)
        (context.folder / "inner" / "rom" / "weights").write_text("0110")
        return Value(value=context.config.images)

    def second(self, context: Context) -> Sum:
        self.runs.append("second")
        (context.folder / "half").write_text("written before the fault")
        if self.fault is not None:
            raise self.fault
        with context.comparing("sum", "python", 1):
            total = int(context.path("first", "value").read_text()) + context.result(Value).value
        return Sum(sum=total, **self.extra)

    def build(self, images: int = 2, **options: Any) -> Context:
        return self.pipeline(images).run(**options)

    def pipeline(self, images: int = 2) -> Pipeline:
        steps = [
            Step("first", self.first, Value, options=("images",), given=lambda context: self.given),
            Step("second", self.second, Sum, needs=("first",), compiles=lambda config: config.images < 9),
        ]
        config = BuildConfig(images=images, output_dir=self.folder)
        checkpoint = self.folder / "weights"
        checkpoint.write_text("weights")
        folders = {step.name: self.folder / step.name for step in steps}
        context = Context(config=config, board=load("pynq-z2"), folders=folders, checkpoint=checkpoint)
        return Pipeline(steps, context, Console(quiet=True))


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def statuses(context: Context) -> list[str]:
    return [record.status for record in context.records]


def test_second_build_comes_from_the_cache_with_its_results(recorder: Recorder) -> None:
    assert statuses(recorder.build()) == ["done", "done"]
    again = recorder.build()
    assert statuses(again) == ["cached", "cached"]
    assert again.result(Sum).sum == 4
    assert [(row.stage, row.mismatches) for row in again.result(Sum).verification] == [("sum", 0)]
    assert again.result(Value).verification == ()
    assert recorder.runs == ["first", "second"]


def test_an_option_reruns_its_step_and_what_depends_on_it(recorder: Recorder) -> None:
    recorder.build()
    assert recorder.build(images=3).result(Sum).sum == 6


def test_the_content_of_the_users_files_counts_not_their_place(recorder: Recorder, tmp_path: Path) -> None:
    def files(place: str, *contents: str) -> list[Path]:
        """Return a file of each class; they have the same name."""
        paths = [tmp_path / place / f"class{number}" / "0.png" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return paths

    recorder.given = files("here", "cat", "dog")
    assert statuses(recorder.build()) == ["done", "done"]
    recorder.given = files("there", "cat", "dog")
    assert statuses(recorder.build()) == ["cached", "cached"]
    files("there", "cat", "owl")
    assert statuses(recorder.build()) == ["done", "done"]
    for paths in (recorder.given[:1], [*recorder.given[:1], tmp_path / "there" / "class2" / "0.png"]):
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_text("owl" if len(paths) > 1 else "cat")
        recorder.given = paths
        assert statuses(recorder.build()) == ["done", "done"]


@pytest.mark.parametrize("file", ["value", "inner/rom/weights"])
def test_a_changed_or_missing_artifact_is_noticed(recorder: Recorder, file: str) -> None:
    recorder.build()
    (recorder.folder / "first" / file).write_text("9")
    assert statuses(recorder.build()) == ["done", "cached"]
    (recorder.folder / "first" / file).unlink()
    assert statuses(recorder.build()) == ["done", "cached"]
    assert statuses(recorder.build()) == ["cached", "cached"]


def test_a_killed_step_is_done_again(recorder: Recorder) -> None:
    recorder.build()
    (recorder.folder / "second" / "done.json").unlink()
    assert statuses(recorder.build()) == ["cached", "done"]


def test_force_start_and_stop(recorder: Recorder) -> None:
    assert statuses(recorder.build(stop="first")) == ["done"]
    assert statuses(recorder.build(start="second")) == ["cached", "done"]
    assert statuses(recorder.build(start="second", force=True)) == ["cached", "done"]
    with pytest.raises(UserError, match="unknown step"):
        recorder.build(stop="third")
    with pytest.raises(UserError, match="comes after"):
        recorder.build(start="second", stop="first")


def test_start_without_earlier_results_says_so(recorder: Recorder) -> None:
    with pytest.raises(UserError, match="'first'"):
        recorder.build(start="second")


def test_a_skipped_step_keeps_its_reason(recorder: Recorder) -> None:
    recorder.fault = Skipped("no board")
    assert recorder.build().records[1].reason == "no board"
    cached = recorder.build().records[1]
    assert (cached.status, cached.reason) == ("skipped", "no board")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (KeyboardInterrupt(), Interrupted),
        (OSError(28, "No space left on device"), UserError),
        (PermissionError(13, "Permission denied"), UserError),
        (FileNotFoundError(2, "No such file or directory"), ToolError),
        (ValueError("x"), ToolError),
        (SystemExit(3), ToolError),
    ],
)
def test_a_fault_leaves_nothing_half_written(recorder: Recorder, fault: BaseException, error: type[Exception]) -> None:
    recorder.fault = fault
    with pytest.raises(error):
        recorder.build()
    assert not (recorder.folder / "second").exists()
    recorder.fault = None
    assert statuses(recorder.build()) == ["cached", "done"]


def test_a_crash_leaves_a_log_with_the_traceback(recorder: Recorder) -> None:
    recorder.fault = ValueError("inner trouble")
    with pytest.raises(ToolError) as caught:
        recorder.build()
    assert caught.value.log is not None
    assert "inner trouble" in caught.value.log.read_text()


def test_the_log_of_a_failed_tool_is_named(recorder: Recorder) -> None:
    recorder.fault = ToolFailure("g++ refuses it", recorder.folder / "compiler.log")
    with pytest.raises(ToolError, match=r"g\+\+ refuses it .*compiler\.log") as caught:
        recorder.build()
    assert caught.value.exit_code == 2
    recorder.fault = ToolError("differs")
    with pytest.raises(ToolError, match=r"^differs \(log: .*second\.log\)$"):
        recorder.build()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 4 KiB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_fills_up_with_the_last_file_leaves_nothing(recorder: Recorder) -> None:
    recorder.extra = {"note": "x" * 10_000}
    with pytest.raises(UserError, match=r"step 'second' cannot write .*: File too large"):
        recorder.build()
    assert not (recorder.folder / "second").exists()


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_does_not_hide_the_failure(recorder: Recorder) -> None:
    recorder.fault = ValueError("x" * 10_000)
    with pytest.raises(ToolError, match="step 'second' failed: ValueError: xxx"):
        recorder.build()


def test_a_missing_compiler_is_noticed_before_the_first_step(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(recorder.folder / "nowhere" / "g++"))
    with pytest.raises(UserError, match=r"step 'second' needs a C\+\+ compiler.*install"):
        recorder.pipeline().check()
    recorder.pipeline().check(stop="first")
    recorder.pipeline(images=9).check()  # a step may do without, if it is told to
    recorder.build()
    recorder.pipeline().check()  # cached
    with pytest.raises(UserError, match="compiler"):
        recorder.pipeline().check(force=True)


def test_a_warning_is_told_again_when_the_step_is_cached(recorder: Recorder) -> None:
    recorder.extra = {"warning": "slower than asked for"}
    for status in ("done", "cached"):
        record = recorder.build().records[1]
        assert (record.status, record.reason) == (status, "warning: slower than asked for")


def test_what_children_say_goes_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Talker(Recorder):
        def second(self, context: Context) -> Sum:
            subprocess.run(["sh", "-c", "echo spoken; echo complained >&2"], check=True)
            return Sum()

    context = Talker(tmp_path).build()
    assert context.log.read_text() == "spoken\ncomplained\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("force_color", [None, "1"])
def test_a_long_step_says_where_it_is_also_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force_color: str | None
) -> None:
    """Jupyter sets FORCE_COLOR: a line that moves would be printed anew for every change."""
    if force_color is not None:
        monkeypatch.setenv("FORCE_COLOR", force_color)

    def slow(context: Context) -> StepResult:
        for done in range(20):
            context.status(f"{done} of 20")
        return StepResult()

    said = io.StringIO()
    context = Context(
        config=BuildConfig(output_dir=tmp_path),
        board=load("pynq-z2"),
        folders={"slow": tmp_path / "slow"},
        checkpoint=tmp_path / "weights",
    )
    context.checkpoint.touch()
    monkeypatch.setattr(pipeline, "SILENCE", -1.0)
    Pipeline([Step("slow", slow)], context, Console(file=said, force_terminal=False)).run()
    assert [line.split()[:2] for line in said.getvalue().splitlines()[:22]] == [
        ["slow"],
        *(["slow", str(done)] for done in range(20)),
        ["slow", "done"],
    ]
    assert "\x1b" not in said.getvalue()
