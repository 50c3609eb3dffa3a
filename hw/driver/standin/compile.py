# SPDX-License-Identifier: Apache-2.0
"""Makes the stand-in cppsim on a machine of another kind than the build's, say the board: one call of g++."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

from ..errors import DeviceError, PackageError
from ..settings import Settings
from .engine import library

FOLDER = "standin"
PROGRAM = "cppsim"
"""Folder of program.cpp and its headers, in the one of the stand-in."""


def make_cppsim(package: Path) -> Path:
    """Compile the package's program for this machine; where the package brings that library, nothing is done.

    Raises:
        PackageError: the package is damaged, or brings no program.
        DeviceError: no compiler, one that fails, or a folder that cannot be written to.
    """
    settings = Settings.load(package)
    folder = package / FOLDER
    target = folder / library("cppsim")
    if f"{FOLDER}/{target.name}" in settings.content["files"]:
        return target
    if f"{FOLDER}/{PROGRAM}/program.cpp" not in settings.content["files"]:
        raise PackageError(f"{folder} brings no program to compile: build the package with --verify cppsim")
    command = [os.environ.get("CXX", "g++"), *json.loads((folder / "design.json").read_text())["compile"]]
    try:
        with tempfile.TemporaryDirectory(prefix="compile-", dir=str(folder)) as scratch:
            made = Path(scratch) / target.name
            _run([*command, "-o", str(made.resolve())], folder / PROGRAM)
            made.replace(target)
    except OSError as error:
        raise DeviceError(f"{folder}: {error.strerror}: take a copy of the package that is yours") from error
    return target


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=str(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DeviceError(f"{command[0]} is not installed: install g++ or let CXX name a C++ compiler") from error
    if done.returncode:
        first = next((line for line in done.stdout.splitlines() if "rror" in line), f"exit status {done.returncode}")
        raise DeviceError("{} cannot compile {}: {}".format(command[0], folder / "program.cpp", first))
