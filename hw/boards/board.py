# SPDX-License-Identifier: Apache-2.0
"""Boards: one YAML file each beside this module, read and checked here and nowhere else."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hw.boards.clock import clocks
from hw.plain_yaml import read_yaml

_FOLDER = Path(__file__).parent


class BoardFileError(ValueError):
    """A board's file is not readable as a board, or two files claim one name."""


class UnknownBoard(ValueError):  # noqa: N818 - reads as the sentence it is
    """No board has this name or alias; the message offers the closest names."""


class DeviceResources(BaseModel):
    """What the device on a board offers, in the units in which synthesis counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lut: int = Field(gt=0, description="six-input look-up tables")
    ff: int = Field(gt=0, description="flip-flops")
    bram36: int = Field(ge=0, description="block RAMs of 36 Kb")
    dsp: int = Field(ge=0, description="DSP slices")
    uram: int = Field(ge=0, description="UltraRAMs of 288 Kb")


class Allowance(BaseModel):
    """What shell and DMAs take of the device beside the accelerator; nothing where a board's file has no figure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lut: int = Field(default=0, ge=0, description="six-input look-up tables")
    ff: int = Field(default=0, ge=0, description="flip-flops")
    bram36: int = Field(default=0, ge=0, description="block RAMs of 36 Kb")
    dsp: int = Field(default=0, ge=0, description="DSP slices")


class Board(BaseModel):
    """A board and its device."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="how the command line calls it")
    aliases: tuple[str, ...] = ()
    part: str = Field(min_length=1, description="device, package and speed grade as Vivado writes them")
    family: Literal["xc7", "xcup"] = Field(description="synth_xilinx -family")
    platform: str = Field(min_length=1, description="FINN's name of the board")
    shell: Literal["zynq-iodma", "alveo"] = Field(description="what surrounds the accelerator, FINN's word")
    vitis_platform: str | None = Field(None, description="platform that Vitis links for; Alveo only")
    memory: str = Field(min_length=1, description="of the board, where the DMAs' buffers lie")
    clock_mhz: float = Field(
        gt=0, le=1000, description="recommended clock, taken unless the user asks for another, MHz"
    )
    target_fps: float = Field(gt=0, description="frames a second to fold for unless the user asks for others")
    targets: dict[str, Annotated[float, Field(gt=0)]] = Field({}, description="the same for single networks, by name")
    axi_width_bits: Literal[32, 64, 128, 256, 512] = Field(description="width of the memory port")
    resources: DeviceResources
    allowance: Allowance = Allowance()

    @model_validator(mode="after")
    def _platform_of_the_shell(self) -> Board:
        if (self.vitis_platform is not None) != (self.shell == "alveo"):
            raise ValueError("vitis_platform belongs to the shell alveo, and to no other")
        return self

    @model_validator(mode="after")
    def _allowance_leaves_room(self) -> Board:
        short = [name for name, left in self.left.items() if left < 0]
        if short:
            raise ValueError(f"the allowance is larger than the resources in {', '.join(short)}")
        return self

    @model_validator(mode="after")
    def _clock_of_the_shell(self) -> Board:
        self.check_clock(self.clock_mhz)
        return self

    def check_clock(self, clock_mhz: float) -> None:
        """Raise ValueError where the shell cannot make a clock; the message names those next to it."""
        made = clocks(self.family, self.shell)
        if clock_mhz not in made:
            near = [
                *[clock for clock in made if clock < clock_mhz][-1:],
                *[clock for clock in made if clock > clock_mhz][:1],
            ]
            raise ValueError(f"the shell cannot make {clock_mhz:g} MHz, but {' or '.join(map(str, near))}")

    def target(self, network: str) -> float:
        """Frames a second to fold a network for unless the user asks for others."""
        return self.targets.get(network, self.target_fps)

    @property
    def left(self) -> dict[str, int]:
        """What shell and DMAs leave of the device to an accelerator, by the name of the resource."""
        return {name: getattr(self.resources, name) - kept for name, kept in self.allowance}

    @property
    def clock_ns(self) -> float:
        """Clock period in nanoseconds."""
        return 1000.0 / self.clock_mhz


def read(path: Path) -> Board:
    """The board described by a YAML file.

    Raises:
        BoardFileError: not YAML, an unknown or missing key, or a value out of range; the message names
            file and key.
        OSError: the file cannot be read.
    """
    try:
        return Board.model_validate(read_yaml(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise BoardFileError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        raise BoardFileError(f"{path}: {key}: {first['msg']}") from error


@cache
def _boards(folder: Path) -> dict[str, Board]:
    """All boards of a folder by lower-case name and alias."""
    boards: dict[str, Board] = {}
    for path in sorted(folder.glob("*.yaml")):
        board = read(path)
        for name in map(str.lower, (board.name, *board.aliases)):
            if name in boards:
                raise BoardFileError(f"{path}: the name {name!r} is taken by {boards[name].name}")
            boards[name] = board
    return boards


def available() -> list[Board]:
    """Every known board once, sorted by name. Raises BoardFileError."""
    return sorted({board.name: board for board in _boards(_FOLDER).values()}.values(), key=lambda board: board.name)


def _own(path: Path, boards: dict[str, Board]) -> Board:
    """The board of a file that lies elsewhere, under a name that no other one has."""
    try:
        board = read(path)
    except OSError as error:
        raise BoardFileError(f"{path}: cannot be read: {error.strerror}") from error
    for name in map(str.lower, (board.name, *board.aliases)):
        if boards.get(name, board) != board:
            raise BoardFileError(f"{path}: the name {name!r} is taken by {boards[name].name}")
    return board


def load(name: str) -> Board:
    """The board of a name or alias, upper and lower case alike, or of a file of one's own, which ends in .yaml.

    Raises:
        UnknownBoard: there is none; its message offers the closest names.
        BoardFileError: a board's file is wrong.
    """
    boards = _boards(_FOLDER)
    if name.endswith((".yaml", ".yml")):
        return _own(Path(name), boards)
    board = boards.get(name.strip().lower())
    if board is None:
        close = difflib.get_close_matches(name.strip().lower(), boards, n=3, cutoff=0.5)
        known = ", ".join(board.name for board in available())
        hint = f"did you mean {' or '.join(close)}?" if close else f"known boards: {known}"
        raise UnknownBoard(f"unknown board {name!r}: {hint}")
    return board
