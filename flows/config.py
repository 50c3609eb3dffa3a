# SPDX-License-Identifier: Apache-2.0
"""BuildConfig: every option of a build, from a YAML file and from flags (flags win)."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    field_validator,
    model_validator,
)

from flows.errors import UserError
from hw.plain_yaml import read_yaml

Engine = Literal["python", "cppsim", "cppsim-hls", "rtlsim"]
Place = Annotated[
    Path, BeforeValidator(lambda value: os.path.expanduser(value) if isinstance(value, str | Path) else value)  # noqa: PTH111
]
"""A path; `~` is the home folder, also where no shell has said so."""

Options = TypeVar("Options", bound=BaseModel)


class BuildConfig(BaseModel):
    """Options of one build. Unknown keys are refused; every value is checked before a step runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field("resnet20", description="name in the registry of model.networks, or a .yaml of one's own")
    checkpoint: Place | None = Field(None, description=".safetensors with its card; default: the shipped one")
    weights: Literal["random"] | None = Field(None, description="random ones, calibrated, in place of a checkpoint")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of random weights")
    network_file: Place | None = Field(None, description="of a network of one's own: what --network names, a .yaml")
    model: Place | None = Field(None, description="a QONNX file in place of a network of the registry")
    inputs: Place | None = Field(None, description=".npy file of samples that the model takes, (n, ...)")
    board: str = Field("pynq-z2", description="name or alias of a file in hw/boards, or a .yaml of one's own")
    target_fps: Annotated[float, Field(gt=0)] | Literal["max"] | None = Field(
        None, description="frames per second to fold for, or max: the fastest that fits; default: the board's"
    )
    clock_mhz: float | None = Field(None, gt=0, le=1000, description="default: the board's")
    share: float = Field(0.8, gt=0, le=1, description="of the LUTs that shell and DMAs leave, for the folding")
    folding: dict[str, dict[str, NonNegativeInt | str]] = Field({}, description="node -> {PE: n, SIMD: n}, not ours")
    label_select: bool = Field(False, description="top-1 on the device instead of the logits")
    images: int = Field(4, ge=1, le=10000, description="images compared on every graph")
    frames: int = Field(3, ge=2, le=1000, description="frames back to back in the whole-design simulation")
    verify: tuple[Engine, ...] = Field(("python", "cppsim", "rtlsim"), description="rungs of the ladder that run")
    data_dir: Place | None = Field(None, description="folder of the data set, or .npz; default: IR2NET_DATA")
    download: bool = Field(False, description="fetch CIFAR-10 from the Hugging Face hub")
    skip_damaged: bool = Field(False, description="leave pictures out that cannot be read")
    output_dir: Place | None = Field(None, description="default: build/NETWORK-BOARD")
    route: bool = Field(False, description="place and route on a stand-in for the board's chip, for its timing")
    route_seed: int = Field(1, ge=0, le=2**31 - 1, description="of the placement")
    bitfile: bool = Field(False, description="make the bitfile with Vivado (and Vitis for Alveo)")
    allow_overfit: bool = Field(False, description="report a design that does not fit instead of failing")
    workers: int = Field(2, ge=1, le=64, description="processes for simulation and synthesis")

    @model_validator(mode="before")
    @classmethod
    def _named_by_file(cls, options: Any) -> Any:
        """A network or model of one's own is called like its file."""
        network = str(options.get("network", ""))
        if network.endswith((".yaml", ".yml")):
            return options | {"network": Path(network).stem, "network_file": network}
        if options.get("model") is None:
            return options
        return {"network": re.sub(r"[^A-Za-z0-9_-]+", "_", Path(options["model"]).stem)} | options

    @model_validator(mode="after")
    def _one_source_of_weights(self) -> Self:
        if (self.model is None) != (self.inputs is None):
            raise ValueError("--model and --inputs, samples for it (.npy), go together")
        if self.model is not None and (self.checkpoint or self.weights):
            raise ValueError("a --model has its weights in it, leave --checkpoint and --weights out")
        if self.checkpoint is not None and self.weights is not None:
            raise ValueError("--checkpoint and --weights random exclude each other")
        return self

    @field_validator("verify", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

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

    @field_validator("folding", mode="before")
    @classmethod
    def _folding_of_finn(cls, value: Any) -> Any:
        """FINN's files of foldings have more in them than the folding."""
        if not isinstance(value, dict):
            return value
        nodes = {name: settings for name, settings in value.items() if (name, settings) != ("Defaults", {})}
        if "Defaults" in nodes:
            raise ValueError("the Defaults of FINN are not understood; give each node its own folding")
        for node, settings in nodes.items():
            for name, setting in settings.items() if isinstance(settings, dict) else ():
                place = f"folding.{node}.{name} = {setting!r}"
                if name.endswith("FIFODepths"):
                    raise ValueError(f"{place} cannot be given: simulation finds the depths of FIFOs")
                if name in {"PE", "SIMD"} and not (isinstance(setting, int) and setting > 0):
                    raise ValueError(f"{place} must be a number above 0")
        return nodes

    def command(self) -> str:
        """The command line that asks for the same; a folding by hand comes from the file that the report leaves."""
        words = ["ir2net", "build"]
        for name, field in type(self).model_fields.items():
            value, option = getattr(self, name), f"--{name.replace('_', '-')}"
            if name == "folding" and value:
                words += ["--config", str(self.output / "report" / "folding.yaml")]
            elif isinstance(value, bool):
                words += [option] if value else []
            elif value != field.default or name in {"network", "board"}:
                words += [option, ",".join(value) if isinstance(value, tuple) else str(value)]
        return shlex.join(words)

    @property
    def output(self) -> Path:
        """Absolute output folder."""
        return (self.output_dir or Path("build") / f"{self.network}-{Path(self.board).stem}").resolve()


def load_config(file: Path | None, flags: dict[str, Any]) -> BuildConfig:
    """Merge the file's options and the flags that were given (None means not given).

    Raises:
        UserError: the file cannot be read, a key is unknown or a value is out of its range.
    """
    options = ({} if file is None else read_options(file)) | {k: v for k, v in flags.items() if v is not None}
    if "data_dir" not in options and os.environ.get("IR2NET_DATA"):
        options["data_dir"] = os.environ["IR2NET_DATA"]
    return checked(BuildConfig, options)


def read_options(file: Path) -> dict[str, Any]:
    """The content of a YAML file of options; raises UserError."""
    try:
        options = read_yaml(file.read_text()) or {}
    except OSError as error:
        raise UserError(f"cannot read the configuration {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"the configuration {file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(options, dict):
        raise UserError(f"{file} is not a configuration", "write one 'option: value' a line")
    return options


def checked(kind: type[Options], options: dict[str, Any]) -> Options:
    """The options as that kind has them; raises UserError for the first that it does not know or take."""
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        raise _complaint(error, list(kind.model_fields)) from error


def _complaint(error: ValidationError, known: list[str]) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        if not key:
            return UserError(message)
        return UserError(f"option '{key}' = {first['input']!r}: {message[0].lower()}{message[1:]}")
    if isinstance(first["input"], dict) and "folding" in known:
        return UserError(f"unknown option '{key}'", "foldings of nodes stand under 'folding:'")
    close = difflib.get_close_matches(key, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known options: {', '.join(known)}"
    return UserError(f"unknown option '{key}'", hint)
