# SPDX-License-Identifier: Apache-2.0
"""settings.json: what the accelerator takes and gives, and the proof that the package is whole and unchanged.

Two numbers guard it. `build_id` names the design: RTL, memories, top and clock; a bitfile, and a library of the
stand-in, carry the id of the build that made them. `seal` is the sha256 of settings.json itself, without the seal:
settings edited by hand are refused, and through the sha256 of each file that they list, changed files are too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .errors import PackageError

FILE = "settings.json"
FORMAT = 1
BITFILE_RECORD = "bitfile.json"


@dataclass(frozen=True)
class Settings:
    """The content of settings.json.

    Attributes:
        folder: of the package.
        build_id: of the design.
        platform: "zynq-iodma" or "alveo".
        clock_mhz: of the accelerator, as built.
        reference_mhz: of the processing system's clock from which a PLL makes it; None on Alveo.
        io_shape_dict: FINN's description of inputs and outputs.
        scale: factor from the output's integers to the network's scores; None where the output is a label.
        content: all of the file.
        offset: what is added to the scores; scale and offset are one number, or one a class.
    """

    folder: Path
    build_id: str
    platform: str
    clock_mhz: float
    reference_mhz: float | None
    io_shape_dict: dict[str, Any]
    scale: Any
    content: dict[str, Any]
    offset: Any = 0.0

    @staticmethod
    def load(folder: Path) -> Settings:
        """Read and check the package in `folder`.

        Raises:
            PackageError: there is none, it was edited, or a file is missing or damaged; the message names it.
        """
        content = read(folder)
        check_files(folder, content["files"])
        known = {field.name: content[field.name] for field in fields(Settings) if field.name in content}
        return Settings(folder=folder, content=content, **known)

    @property
    def bitfile(self) -> Path:
        """Where the bitfile is, or belongs."""
        return self.folder / ("accelerator.xclbin" if self.platform == "alveo" else "accelerator.bit")

    @property
    def bitfiles(self) -> list[Path]:
        """The bitfile and what pynq reads beside it."""
        return [self.bitfile] if self.platform == "alveo" else [self.bitfile, self.bitfile.with_suffix(".hwh")]

    def check_build_id(self, found: str | None, what: str) -> None:
        """Raise PackageError where `what` carries the id of another build, or none."""
        if found != self.build_id:
            raise PackageError(
                "{} is of build {}, {} of build {}: take both from one package".format(
                    what, found or "(unknown)", FILE, self.build_id
                )
            )


def read(folder: Path) -> dict[str, Any]:
    """The content of settings.json, its seal checked."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise PackageError(f"{path} is not there: {folder} is no package of the build") from None
    except ValueError as error:
        raise PackageError(f"{path} is damaged ({error}): unpack the package again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PackageError(f"{path} is not of format {FORMAT}: driver and package are of different versions")
    if content.get("seal") != seal(content):
        raise PackageError(f"{path} was edited: change the build's options and build again")
    return content


def write(folder: Path, content: dict[str, Any]) -> None:
    """Write settings.json and seal it."""
    sealed = dict(content, seal=seal(content))
    (folder / FILE).write_text(json.dumps(sealed, indent=1))


def seal(content: dict[str, Any]) -> str:
    """sha256 of the content without its seal."""
    text = json.dumps({key: value for key, value in content.items() if key != "seal"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_files(folder: Path, files: dict[str, str]) -> None:
    """Compare each file with its sha256; raises PackageError that names the first that differs."""
    for name, expected in files.items():
        try:
            found = digest(folder / name)
        except OSError:
            raise PackageError(f"{folder / name} is missing: the package is truncated, unpack it again") from None
        if found != expected:
            raise PackageError(
                f"{folder / name} is damaged or changed (its sha256 is not that of {FILE}): unpack the package again"
            )


def digest(path: Path) -> str:
    """sha256 of a file."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()
