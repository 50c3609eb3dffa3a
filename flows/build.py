# SPDX-License-Identifier: Apache-2.0
"""Command line of the main job: from a trained checkpoint to a proven all-RTL accelerator for a board."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

# Run as a script (`python flows/build.py`) the folder of this file comes first on the path, where `report` and
# `steps` would hide other packages of these names; the project's root is what belongs there.
if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

try:
    import psutil
    import typer
    from filelock import FileLock, Timeout
    from rich.console import Console
    from rich.markup import escape

    from flows.config import BuildConfig, load_config
    from flows.errors import FlowError, Interrupted, UserError
    from flows.guard import STOPPING, guarded
    from model.cli import name_the_user
    from model.errors import ModelError
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed; run `make build` once, or use .venv/bin/python")
except KeyboardInterrupt:
    sys.exit("error: interrupted")

if TYPE_CHECKING:
    from flows.pipeline import Context
    from flows.report.summary import Summary
    from flows.report.text import Row

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# A copy of the terminal's descriptor: steps redirect standard error to their logs. What is none gets no colours and no
# moving line, whatever FORCE_COLOR, which Jupyter sets, and rich's own idea of Jupyter say.
_console = Console(
    file=os.fdopen(os.dup(2), "w", errors="backslashreplace"),
    force_terminal=None if os.isatty(2) else False,
    force_jupyter=False,
    highlight=False,
)
_interrupted = threading.Event()


@app.command()
def command(  # noqa: PLR0917 - typer turns the parameters into options
    network: Annotated[
        str | None, typer.Option(help="resnet20 (CIFAR-10), tiny (digits), or NAME.yaml of your own.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="A name that --list-boards prints, or a .yaml of your own.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights (.safetensors); default: the shipped ones.")] = None,
    weights: Annotated[str | None, typer.Option(help="random: for a network that has none yet; calibrated.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of random weights.")] = None,
    model: Annotated[Path | None, typer.Option(help="A QONNX file of your own (docs/your-network.md).")] = None,
    inputs: Annotated[Path | None, typer.Option(help="Samples for it: an .npy file, (n, ...).")] = None,
    target_fps: Annotated[
        str | None, typer.Option(help="Frames a second to fold for, or max; default: the board's.")
    ] = None,
    clock_mhz: Annotated[
        float | None, typer.Option(help="Clock in MHz, of those that the shell makes; default: the board's.")
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Default: build/NETWORK-BOARD.")] = None,
    images: Annotated[int | None, typer.Option(help="Images compared on every graph.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames back to back in the whole-design simulation.")] = None,
    verify: Annotated[str | None, typer.Option(help="Rungs that run: python,cppsim,rtlsim, and cppsim-hls.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the data set, or .npz; default: IR2NET_DATA.")
    ] = None,
    download: Annotated[bool | None, typer.Option("--download", help="Fetch CIFAR-10 from the hub.")] = None,
    skip_damaged: Annotated[bool | None, typer.Option("--skip-damaged", help="Leave unreadable pictures out.")] = None,
    share: Annotated[float | None, typer.Option(help="Share of the LUTs left by shell and DMAs to fold into.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes for simulation and synthesis.")] = None,
    label_select: Annotated[bool | None, typer.Option(help="Top-1 on the device instead of logits.")] = None,
    route: Annotated[
        bool | None, typer.Option("--route", help="Time the design, routed by nextpnr on an ECP5.")
    ] = None,
    route_seed: Annotated[int | None, typer.Option(help="Seed of the placement with --route.")] = None,
    bitfile: Annotated[bool | None, typer.Option("--bitfile", help="Make the bitfile; takes Vivado.")] = None,
    allow_overfit: Annotated[bool | None, typer.Option(help="Report a design that does not fit.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of these options, and of folding: {NODE: {PE: 2}}.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First step to run; earlier ones come from the cache.")] = None,
    stop: Annotated[str | None, typer.Option(help="Last step to run.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Fold only: what is to be expected, and what would bind.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json; of a dry run, its folding.")] = False,
    list_boards: Annotated[bool, typer.Option("--list-boards", help="Print the boards and what fits them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run the steps again even if they are done.")] = False,
) -> None:
    """Build an accelerator and prove it, step by step; a cut-off build goes on where it stopped."""
    flags = locals().copy()
    for own in ("config", "start", "stop", "force", "dry_run", "as_json", "list_boards"):
        del flags[own]
    if list_boards:
        show_boards((output_dir or Path("build") / "any").parent)
        return
    if dry_run:
        _tell_estimate(run(load_config(config, flags), force=force, dry=True), as_json)
        return
    context = run(load_config(config, flags), start, stop, force)
    if "report" in context.results:
        _tell_conclusion(context, as_json)


def build(config: BuildConfig, *, force: bool = False) -> Summary:
    """Build an accelerator and prove it: what the command does, for programs.

    Args:
        config: the options of the command; BuildConfig refuses what is none.
        force: run the steps again even if they are done.

    Returns:
        The content of summary.json. The package and the report are in `config.output`.

    Raises:
        UserError: what was asked for cannot be done.
        ToolError: a tool failed, or an integer differs: its `log` says more.
    """
    return _summary(run(config, force=force))


def run(
    config: BuildConfig, start: str | None = None, stop: str | None = None, force: bool = False, *, dry: bool = False
) -> Context:
    """Check the configuration, then run the pipeline in the output folder, alone.

    With `dry` it ends with the folding, and takes no data set: its few steps have a folder of their own.
    """
    if dry:
        config, stop = config.model_copy(update={"output_dir": config.output / "dry-run"}), "fold"
    from hw.boards.board import BoardFileError, UnknownBoard, load

    _places(config.output)
    try:
        board = load(config.board)
        checkpoint = inputs(config)
    except (UnknownBoard, BoardFileError, ModelError) as error:
        raise UserError(str(error)) from error
    try:
        board.check_clock(config.clock_mhz or board.clock_mhz)
    except ValueError as error:
        raise UserError(f"{board.name}: {error}", "choose another --clock-mhz") from error
    from flows.pipeline import Context, Pipeline
    from flows.steps import ORDER
    from flows.steps.bitfile import check

    check(config, board)

    folders = {step.name: config.output / f"{index:02d}_{step.name}" for index, step in enumerate(ORDER, 1)}
    folders["report"] = config.output / "report"  # what the user looks for
    context = Context(config=config, board=board, folders=folders, checkpoint=checkpoint, dry=dry)
    context.target_cycles()  # refuses an impossible frame rate now instead of in the fourth step
    pipeline = Pipeline(ORDER, context, _console)
    pipeline.check(start, stop, force)
    with alone(config.output):
        design = f"{config.network}[/] on {board.name} ({board.part}), {context.clock_mhz:g} MHz"
        _console.print(f"[bold]{design} -> {escape(str(config.output))}", soft_wrap=True)
        return pipeline.run(start, stop, force)


def _summary(context: Context) -> Summary:
    from flows.report.summary import Summary

    return Summary.model_validate_json((context.folders["report"] / "summary.json").read_text())


def _tell_conclusion(context: Context, as_json: bool) -> None:
    """Verdict, main figures and where they are written; with `as_json`, summary.json on standard output."""
    from flows.report.text import conclusion

    summary = _summary(context)
    (package,) = context.folders["package"].glob("*.zip")
    where = [("report", str(context.folders["report"] / "report.html")), ("package", str(package))]
    _tell([*conclusion(summary), *where])
    if as_json:
        typer.echo(summary.model_dump_json(indent=2))


def _tell_estimate(context: Context, as_json: bool) -> None:
    """What the folding is expected to be; with `as_json`, and each node's, on standard output."""
    from flows.report.summary import Device
    from flows.report.text import estimate
    from flows.steps.fold import Folded

    folded = context.result(Folded)
    device = Device.model_validate(context.board.resources, from_attributes=True)
    each = [
        (name, ", ".join(f"{key} {value}" for key, value in chosen.items())) for name, chosen in folded.nodes.items()
    ]
    _tell([*each, *estimate(folded.folding, context.target_fps(), context.clock_mhz, device)])
    if as_json:
        typer.echo(folded.model_dump_json(indent=2))


def _tell(rows: Iterable[Row]) -> None:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        _console.print(f"[bold]{escape(name.ljust(width))}[/]  {escape(text)}", soft_wrap=True)


def show_boards(builds: Path) -> None:
    """Print the boards, and what of the builds in a folder fits them."""
    from flows.boards import print_boards
    from hw.boards.board import BoardFileError

    try:
        print_boards(Console(highlight=False), builds)
    except BoardFileError as error:
        raise UserError(str(error)) from error


def inputs(config: BuildConfig) -> Path:
    """The checkpoint or model, which is read, and the data, which are looked into, before anything is written."""
    if config.model is not None and config.inputs is not None:
        from model.given import files_of, load_samples

        load_samples(config.inputs)
        files_of(config.model)
        return config.model
    from model.checkpoint import load_checkpoint, shipped_checkpoint
    from model.data import data_files

    source = config.network_file or config.network
    path = config.checkpoint or (_random_weights(source, config.seed) if config.weights else shipped_checkpoint(source))
    network, _ = load_checkpoint(path, source, "hardware")
    if config.data_dir is not None:
        data_files(network.spec, "test", config.data_dir)
    return path


def _random_weights(network: str | Path, seed: int) -> Path:
    """A checkpoint in the cache: batch norms depend on the order of sums, and a build that goes on wants the same."""
    from flows.sources import code_digest
    from hw.cache import Room, key_of
    from model.networks import network_spec
    from model.random_weights import random_weights

    spec, name = network_spec(network), "weights.safetensors"
    key = key_of(code_digest("model.random_weights"), repr(spec), str(seed))

    def make(folder: Path, _: Path) -> None:
        random_weights(folder / name, spec, seed)

    return Room("weights").get(key, make) / name


def _places(output: Path) -> None:
    """Make the cache's folder, the same for processes that work elsewhere; refuse a path that no tool can be told."""
    from hw import cache

    try:
        home = cache.root()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(home, os.W_OK):
            raise PermissionError(13, "Permission denied", str(home))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"there is no cache: {error}", f"let {cache.FOLDER} name a folder that can be written"
        ) from error
    if cache.FOLDER in os.environ:
        os.environ[cache.FOLDER] = str(home)
    for place in (output, home, Path(__file__)):
        if set(str(place)) & set('"\\\n'):
            raise UserError(
                f"Verilog cannot name files in {place}", "choose a path without double quotes and backslashes"
            )


def alone(folder: Path) -> Any:
    """Lock the output folder: two builds in it would overwrite each other's files."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder", "use another --output-dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied", str(folder))
        return FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise UserError(f"another build is running in {folder}", "wait for it or use another --output-dir") from error
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}", "use another --output-dir") from error


def main(application: typer.Typer = app) -> None:
    """Run a command line under its guard."""
    guarded(lambda: _main(application))


def _main(application: typer.Typer) -> None:
    """One clear line and the exit code for every failure."""
    # brevitas asks torch for a CUDA compiler as it is imported; that there is no GPU is no news here
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    for number in STOPPING:
        signal.signal(number, _interrupt)
    name_the_user()
    failure: FlowError | None = None
    code = None
    try:
        code = application(standalone_mode=False)
    except typer.TyperException as error:
        failure = UserError(error.format_message().rstrip("."), "--help lists the options")
    except FlowError as error:
        failure = error
    except ModelError as error:
        failure = UserError(str(error))
    except BaseException:
        if not _interrupted.is_set():
            raise
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # it shall not cut the line below
    # asked here, because typer swallows the KeyboardInterrupt, and modules that were half imported raise anything
    if _interrupted.is_set() and not isinstance(failure, Interrupted):
        failure = Interrupted("interrupted; the same command goes on from the last finished step")
    if failure is not None:
        _console.print(f"[bold red]error:[/] {escape(' '.join(str(failure).split()))}", soft_wrap=True)
        sys.exit(failure.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(*_: object) -> None:
    """End the tools and worker processes too: a signal to this process alone does not reach them."""
    if _interrupted.is_set():
        return  # from the terminal and from the guard, or pressed twice
    _interrupted.set()
    threading.Thread(target=_end_children, daemon=True).start()
    raise KeyboardInterrupt


def _end_children() -> None:
    """Until this process ends: a pool's thread whose tool was ended starts the next one."""
    while True:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
