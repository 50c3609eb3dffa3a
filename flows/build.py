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
from pathlib import Path
from typing import Annotated, Any

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
except ModuleNotFoundError as missing:
    sys.exit(f"error: {missing.name} is not installed; run `make build` once, or use .venv/bin/python")
except KeyboardInterrupt:
    sys.exit("error: interrupted")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# a copy of the terminal's descriptor: steps redirect standard error to their logs
_console = Console(file=os.fdopen(os.dup(2), "w", errors="backslashreplace"), highlight=False)
_interrupted = threading.Event()


@app.command()
def build(  # noqa: PLR0917 - typer turns the parameters into options
    network: Annotated[str | None, typer.Option(help="resnet20 (CIFAR-10) or tiny (digits).")] = None,
    board: Annotated[str | None, typer.Option(help="A name that --list-boards prints.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights (.safetensors); default: the shipped ones.")] = None,
    target_fps: Annotated[
        str | None, typer.Option(help="Frames a second to fold for, or max; default: the board's.")
    ] = None,
    clock_mhz: Annotated[float | None, typer.Option(help="Clock; default: the board's.")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Default: build/NETWORK-BOARD.")] = None,
    images: Annotated[int | None, typer.Option(help="Images compared on every graph.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames back to back in the whole-design simulation.")] = None,
    verify: Annotated[str | None, typer.Option(help="Rungs that run: python,cppsim,rtlsim, and cppsim-hls.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Data set; default: IR2NET_DATA.")] = None,
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
    list_boards: Annotated[bool, typer.Option("--list-boards", help="Print the boards and what fits them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run the steps again even if they are done.")] = False,
) -> None:
    """Build an accelerator and prove it, step by step; a cut-off build goes on where it stopped."""
    flags = locals().copy()
    for own in ("config", "start", "stop", "force", "list_boards"):
        del flags[own]
    if list_boards:
        _list_boards((output_dir or Path("build") / "any").parent)
        return
    run(load_config(config, flags), start, stop, force)


def run(config: BuildConfig, start: str | None = None, stop: str | None = None, force: bool = False) -> None:
    """Check the configuration, then run the pipeline in the output folder, alone."""
    from hw.boards.board import BoardFileError, UnknownBoard, load
    from model.errors import ModelError

    try:
        board = load(config.board)
        checkpoint = _inputs(config)
    except (UnknownBoard, BoardFileError, ModelError) as error:
        raise UserError(str(error)) from error
    from flows.pipeline import Context, Pipeline
    from flows.steps import ORDER
    from flows.steps.bitfile import check

    check(config, board)

    folders = {step.name: config.output / f"{index:02d}_{step.name}" for index, step in enumerate(ORDER, 1)}
    folders["report"] = config.output / "report"  # what the user looks for
    context = Context(config=config, board=board, folders=folders, checkpoint=checkpoint)
    context.target_cycles()  # refuses an impossible frame rate now instead of in the fourth step
    pipeline = Pipeline(ORDER, context, _console)
    pipeline.check(start, stop, force)
    with _alone(config.output):
        design = f"{config.network}[/] on {board.name} ({board.part}), {context.clock_mhz:g} MHz"
        _console.print(f"[bold]{design} -> {escape(str(config.output))}", soft_wrap=True)
        pipeline.run(start, stop, force)


def _list_boards(builds: Path) -> None:
    from flows.boards import print_boards
    from hw.boards.board import BoardFileError

    try:
        print_boards(Console(highlight=False), builds)
    except BoardFileError as error:
        raise UserError(str(error)) from error


def _inputs(config: BuildConfig) -> Path:
    """The checkpoint, which is read, and the data folder, which is looked into, before anything is written."""
    from model.checkpoint import load_checkpoint, shipped_checkpoint
    from model.data import check_folder

    path = config.checkpoint or shipped_checkpoint(config.network)
    load_checkpoint(path, config.network, "hardware")
    if config.data_dir is not None:
        check_folder(config.network, config.data_dir)
    return path


def _alone(folder: Path) -> Any:
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


def main() -> None:
    """Entry point: one clear line and the exit code for every failure."""
    # brevitas asks torch for a CUDA compiler as it is imported; that there is no GPU is no news here
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, _interrupt)
    failure: FlowError | None = None
    try:
        app(standalone_mode=False)
    except typer.TyperException as error:
        failure = UserError(error.format_message())
    except FlowError as error:
        failure = error
    except BaseException:
        if not _interrupted.is_set():
            raise
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed twice, it shall not cut the line below
    # asked here, because typer swallows the KeyboardInterrupt, and modules that were half imported raise anything
    if _interrupted.is_set() and not isinstance(failure, Interrupted):
        failure = Interrupted("interrupted; the same command goes on from the last finished step")
    if failure is not None:
        _console.print(f"[bold red]error:[/] {escape(' '.join(str(failure).split()))}", soft_wrap=True)
        sys.exit(failure.exit_code)


def _interrupt(*_: object) -> None:
    """End the tools and worker processes too: a signal to this process alone does not reach them."""
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
