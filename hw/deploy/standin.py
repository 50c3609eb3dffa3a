# SPDX-License-Identifier: Apache-2.0
"""Libraries for the driver's stand-in: the design compiled, to run on any PC of this machine's kind."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hw.cppsim.compile import FLAGS
from hw.driver.standin.engine import library
from hw.errors import ToolFailure
from hw.rtlsim import sim
from hw.rtlsim.compile import build

DESIGN = "design.json"
# what every PC of the last ten years has, popcounts among it; not the machine's own: the package travels
MACHINES = {"x86_64": ("-march=x86-64-v2",)}


def write_design(folder: Path, build_id: str) -> None:
    """The record that names the design behind the libraries."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESIGN).write_text(json.dumps({"build_id": build_id}))


def add_rtlsim(folder: Path, top: str, sources: Sequence[Path]) -> None:
    """Verilate the design that lies in the package; its memories are found when it is opened. Raises CompileError."""
    shutil.copyfile(build(top, list(sources)), folder / library("rtlsim"))


def add_cppsim(folder: Path, program: Path) -> None:
    """Compile the program of hw/cppsim in `program`.

    Raises:
        ToolFailure: the compiler refuses it.
    """
    target = folder.resolve() / library("cppsim")
    flags = [flag for flag in FLAGS if not flag.startswith("-march")] + [*MACHINES.get(platform.machine(), ())]
    command = [os.environ.get("CXX", "g++"), *flags, "-shared", "-s", "program.cpp", "-o", str(target)]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        log = target.with_suffix(".log")
        log.write_text(" ".join(command) + "\n" + done.stderr)
        raise ToolFailure("g++ refuses cppsim for the package", log)
    shutil.copyfile(program / "constants.bin", folder / "constants.bin")


def copy_driver(target: Path) -> None:
    """The driver's package, with the simulator's interface that its stand-in uses."""
    source = Path(__file__).parent.parent / "driver"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(Path(sim.__file__), target / "standin" / "sim.py")
