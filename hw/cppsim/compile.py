# SPDX-License-Identifier: Apache-2.0
"""Compiles a folder with a generated program, or finds it compiled in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

from hw.cppsim.errors import CompileError, CppsimError

FORMAT = 1
"""Of the folders in the cache: a new number makes old ones invalid."""
# -fwrapv: sums wrap like the hardware's instead of being undefined.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fwrapv", "-fPIC", "-pthread")
# The kernels lie in program.cpp; nothing else is worth optimising.
COMMANDS = {
    "accelerator.so": [[*FLAGS, "-shared", "-s", "program.cpp"]],
    "accelerate": [[*FLAGS, "-c", "program.cpp", "-o", "program.o"], [*FLAGS, "-O1", "-s", "main.cpp", "program.o"]],
}
LIBRARY, EXECUTABLE = COMMANDS
RECORD = "record.json"


@dataclass(frozen=True)
class Compiled:
    """What was compiled: its path, the key that it carries, and whether it was there already."""

    path: Path
    key: str
    cached: bool


def default_cache_dir() -> Path:
    """Folder of compiled programs: $IR2NET_CACHE/cppsim, or ~/.cache/ir2net/cppsim."""
    configured = os.environ.get("IR2NET_CACHE")
    return (Path(configured) if configured else Path.home() / ".cache" / "ir2net") / "cppsim"


def compile_program(folder: Path, target: str = LIBRARY, cache_dir: Path | None = None) -> Compiled:
    """Compile the program in a folder for this machine: as a shared library, or with main.cpp as an executable.

    The key covers the code, the kernels, the compiler, its flags and what -march=native means here; constants are
    not compiled. A result in the cache is used only if it is the file that was put there, and this user's. Two
    builds of the same program at once are safe: the second waits for the first.

    Raises:
        CppsimError: no program; a CompileError: no compiler, or it refuses the code.
    """
    sources = sorted([*folder.glob("*.h"), *folder.glob("*.cpp")])
    if not any(path.name == "program.cpp" for path in sources):
        raise CppsimError(f"{folder} holds no program.cpp; build with --verify cppsim")
    key = _key(target, {path.name: path.read_bytes() for path in sources})
    root = cache_dir or default_cache_dir()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home = root / key
    with FileLock(root / f"{key}.lock"):
        cached = _intact(home, target, key)
        if not cached:
            _build(sources, target, home, key)
    return Compiled(home / target, key, cached)


def discard(compiled: Compiled) -> None:
    """Throw a result away that turned out not to be what it should be."""
    home = compiled.path.parent
    with FileLock(home.with_name(f"{home.name}.lock")):
        shutil.rmtree(home, ignore_errors=True)


def _intact(home: Path, target: str, key: str) -> bool:
    try:
        record = json.loads((home / RECORD).read_text())
        own = home.stat().st_uid == os.getuid()
        return bool(own and record == {"key": key, "sha256": _digest((home / target).read_bytes())})
    except (OSError, ValueError):
        return False


def _build(sources: list[Path], target: str, home: Path, key: str) -> None:
    """Compile in a folder of its own and move that to its place whole."""
    log = home.with_name(f"{home.name}.log")
    log.write_text("")
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="build-") as name:
        scratch, result = Path(name), Path(name) / "result"
        result.mkdir(mode=0o700)
        for path in sources:
            shutil.copyfile(path, scratch / path.name)
        for words in COMMANDS[target]:
            output = [] if "-o" in words else ["-o", str(result / target)]
            _run([_cxx(), f'-DCPPSIM_KEY="{key}"', *words, *output], scratch, log)
        record = {"key": key, "sha256": _digest((result / target).read_bytes())}
        (result / RECORD).write_text(json.dumps(record))
        _remove(home)
        result.replace(home)
    log.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _run(command: list[str], folder: Path, log: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CompileError(f"the C++ compiler {command[0]} is not installed; install g++ or set CXX") from error
    with log.open("a") as stream:
        stream.write(f"$ {shlex.join(command)}\n{done.stdout}{done.stderr}\n")
    if done.returncode != 0:
        first = next((line for line in done.stderr.splitlines() if "rror" in line), f"status {done.returncode}")
        raise CompileError(f"g++ refuses the program: {first}", log)


def _cxx() -> str:
    return os.environ.get("CXX", "g++")


def _key(target: str, files: dict[str, bytes]) -> str:
    state = hashlib.sha256(f"{FORMAT} {COMMANDS[target]} {_compiler(_cxx())}".encode())
    for name, content in files.items():
        state.update(f"{len(name)}:{name}:{len(content)};".encode() + content)
    return state.hexdigest()[:32]


@cache
def _compiler(cxx: str) -> str:
    """The compiler's version and the options that -march=native stands for on this machine."""
    command = [cxx, "-march=native", "-E", "-v", "-x", "c++", os.devnull]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CompileError(f"the C++ compiler {cxx} is not installed; install g++ or set CXX") from error
    lines = (line for line in done.stderr.splitlines() if "version" in line or "-march=" in line or "-dumpbase" in line)
    return "\n".join(lines)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
