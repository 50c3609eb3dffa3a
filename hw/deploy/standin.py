# SPDX-License-Identifier: Apache-2.0
"""Libraries for the driver's stand-in: the design compiled for any PC of this machine's kind, and cppsim's code."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

from hw.cppsim.compile import COMMANDS, LIBRARY
from hw.cxx import cxx, run
from hw.design.design import Design
from hw.driver.standin.compile import PROGRAM
from hw.driver.standin.engine import library
from hw.rtlsim.compile import build

HERE = Path(__file__).parents[1]
DESIGN = "design.json"
FLAGS = [word for word in COMMANDS[LIBRARY][0] if not word.startswith("-march")]
"""Of a library for any machine: packages travel."""
# what every PC of the last ten years has, popcounts among it
MACHINES = {"x86_64": ("-march=x86-64-v2",)}


def write_design(folder: Path, build_id: str) -> None:
    """The record that names the design behind the libraries, and how its program is compiled."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESIGN).write_text(json.dumps({"build_id": build_id, "compile": FLAGS}))


def add_rtlsim(folder: Path, design: Design) -> None:
    """Verilate the design; its memories are found in the package when it is opened. Raises CompileError."""
    shutil.copyfile(build(design.top, design.sources()), folder / library("rtlsim"))


def add_cppsim(folder: Path, program: Path) -> None:
    """Take in the program of hw/cppsim in `program`, and compile it; raises CompileError."""
    target = folder.resolve() / library("cppsim")
    (folder / PROGRAM).mkdir()
    for path in [program / "program.cpp", *program.glob("*.h")]:
        shutil.copyfile(path, folder / PROGRAM / path.name)
    command = [*cxx(), *FLAGS, *MACHINES.get(platform.machine(), ()), "-o", target]
    log = target.with_suffix(".log")
    run("g++ refuses cppsim for the package", command, program, log)
    log.unlink()
    shutil.copyfile(program / "constants.bin", folder / "constants.bin")


def copy_driver(target: Path) -> None:
    """The driver's package, with the modules of hw.streams that it uses as its own."""
    shutil.copytree(HERE / "driver", target, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "streams").mkdir()
    for path in (HERE / "streams").glob("*.py"):
        shutil.copyfile(path, target / "streams" / path.name)
    for path in target.rglob("*.py"):
        own = "." * len(path.relative_to(target).parts) + "streams"
        path.write_text(path.read_text().replace("from hw.streams", f"from {own}"))
