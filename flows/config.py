# SPDX-License-Identifier: Apache-2.0
"""BuildConfig: every option of a build, from a YAML file and from flags (flags win)."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from flows.errors import UserError

Engine = Literal["python", "cppsim", "cppsim-hls", "rtlsim"]


class BuildConfig(BaseModel):
    """Options of one build. Unknown keys are refused; every value is checked before a step runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field("resnet20", description="name in the registry of model.networks")
    checkpoint: Path | None = Field(None, description=".safetensors with its card; default: the shipped one")
    board: str = Field("pynq-z2", description="name or alias of a file in hw/boards")
    target_fps: Annotated[float, Field(gt=0)] | Literal["max"] | None = Field(
        None, description="frames per second to fold for, or max: the fastest that fits; default: the board's"
    )
    clock_mhz: float | None = Field(None, gt=0, le=1000, description="default: the board's")
    share: float = Field(0.8, gt=0, le=1, description="of the LUTs that shell and DMAs leave, for the folding")
    folding: dict[str, dict[str, PositiveInt]] = Field({}, description="node name -> {PE: n, SIMD: n}, not ours")
    label_select: bool = Field(False, description="top-1 on the device instead of the logits")
    images: int = Field(4, ge=1, le=10000, description="images compared on every graph")
    frames: int = Field(3, ge=2, le=1000, description="frames back to back in the whole-design simulation")
    verify: tuple[Engine, ...] = Field(("python", "cppsim", "rtlsim"), description="rungs of the ladder that run")
    data_dir: Path | None = Field(None, description="folder of the data set; default: IR2NET_DATA")
    output_dir: Path | None = Field(None, description="default: build/NETWORK-BOARD")
    route: bool = Field(False, description="place and route on a stand-in for the board's chip, for its timing")
    route_seed: int = Field(1, ge=0, le=2**31 - 1, description="of the placement")
    bitfile: bool = Field(False, description="make the bitfile with Vivado (and Vitis for Alveo)")
    allow_overfit: bool = Field(False, description="report a design that does not fit instead of failing")
    workers: int = Field(2, ge=1, le=64, description="processes for simulation and synthesis")

    @field_validator("verify", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value

    @field_validator("target_fps", mode="before")
    @classmethod
    def _number_or_max(cls, value: Any) -> Any:
        if value is None or value == "max":
            return value
        try:
            rate = float(value)
        except (TypeError, ValueError):
            rate = 0.0
        if not rate > 0:
            raise ValueError("it must be a number above 0, or max")
        return rate

    @property
    def output(self) -> Path:
        """Absolute output folder."""
        return (self.output_dir or Path("build") / f"{self.network}-{self.board}").resolve()


def load_config(file: Path | None, flags: dict[str, Any]) -> BuildConfig:
    """Merge the file's options and the flags that were given (None means not given).

    Raises:
        UserError: the file cannot be read, a key is unknown or a value is out of its range.
    """
    options: dict[str, Any] = {}
    if file is not None:
        try:
            options = yaml.safe_load(file.read_text()) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the configuration {file}: {' '.join(str(error).split())}") from error
        if not isinstance(options, dict):
            raise UserError(f"{file} is not a configuration", "write one 'option: value' a line")
    options |= {key: value for key, value in flags.items() if value is not None}
    if "data_dir" not in options and os.environ.get("IR2NET_DATA"):
        options["data_dir"] = os.environ["IR2NET_DATA"]
    try:
        return BuildConfig.model_validate(options)
    except ValidationError as error:
        raise _complaint(error) from error


def _complaint(error: ValidationError) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        return UserError(f"option '{key}' = {first['input']!r}: {message[0].lower()}{message[1:]}")
    known = list(BuildConfig.model_fields)
    close = difflib.get_close_matches(key, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known options: {', '.join(known)}"
    return UserError(f"unknown option '{key}'", hint)
