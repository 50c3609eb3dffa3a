# SPDX-License-Identifier: Apache-2.0
"""Compiles a folder with a generated program, or finds it compiled in the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from hw.cache import Room, key_of
from hw.cppsim.errors import CppsimError
from hw.cxx import CompileError, cxx, identity, run

# -fwrapv: sums wrap like the hardware's instead of being undefined.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fwrapv", "-fPIC", "-pthread")
# The kernels lie in program.cpp; nothing else is worth optimising.
COMMANDS = {
    "accelerator.so": [[*FLAGS, "-shared", "-s", "program.cpp"]],
    "accelerate": [[*FLAGS, "-c", "program.cpp", "-o", "program.o"], [*FLAGS, "-O1", "-s", "main.cpp", "program.o"]],
}
LIBRARY, EXECUTABLE = COMMANDS


def compile_program(folder: Path, target: str = LIBRARY, cache_dir: Path | None = None) -> Path:
    """Compile the program in a folder for this machine: as a shared library, or with main.cpp as an executable.

    The key covers the code, the kernels, the compiler, its flags and what -march=native means here; constants are
    not compiled. `cache_dir` takes the place of the cache's folder.

    Raises:
        CppsimError: no program, no compiler, or it refuses the code; then with a log.
    """
    sources = sorted([*folder.glob("*.h"), *folder.glob("*.cpp")])
    if not any(path.name == "program.cpp" for path in sources):
        raise CppsimError(f"{folder} holds no program.cpp; build with --verify cppsim")

    def make(home: Path, log: Path) -> None:
        log.write_text("")
        scratch = home.with_name("scratch")
        scratch.mkdir()
        for path in sources:
            shutil.copyfile(path, scratch / path.name)
        for words in COMMANDS[target]:
            output = [] if "-o" in words else ["-o", str(home / target)]
            run("g++ refuses the program", [*cxx(), *words, *output], scratch, log)

    contents = [part for path in sources for part in (path.name, path.read_bytes())]
    key = key_of(target, str(COMMANDS), identity("-march=native"), *contents)
    try:
        return Room("cppsim", cache_dir).get(key, make) / target
    except CompileError as error:
        raise CppsimError(str(error), error.log) from error
