# SPDX-License-Identifier: Apache-2.0
"""The C++ compiler, and running it or any other tool with a log."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from hw.errors import ToolFailure, ending


class CompileError(ToolFailure):
    """Something that does not compile. `log` holds the command lines and all that the tools printed."""


def cxx() -> list[str]:
    """Return the words that call the C++ compiler, those of CXX ("ccache g++") or g++."""
    named = os.environ.get("CXX", "").strip() or "g++"
    return [named] if shutil.which(named) else named.split()


def compiler() -> str | None:
    """Return the path of the C++ compiler, or of what calls it; None where it is not installed."""
    return shutil.which(cxx()[0])


@cache
def identity(*flags: str) -> str:
    """Return the compiler's version, and what `flags` such as -march=native stand for here; empty without one."""
    if compiler() is None:
        return ""
    command = [*cxx(), *flags, "-E", "-v", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (line for line in done.stderr.splitlines() if "version" in line or "-march=" in line or "-dumpbase" in line)
    return "\n".join(lines)


def run(
    complaint: str,
    command: Sequence[str | Path],
    folder: Path,
    log: Path,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run a tool in a folder and append what it prints to a log.

    Raises:
        CompileError: `complaint` with the first error line that was printed, or that the tool is not installed.
    """
    words = [str(word) for word in command]
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CompileError(f"{words[0]} is not installed; install g++ or let CXX name a C++ compiler") from error
    output = done.stdout + done.stderr
    with log.open("a") as stream:
        stream.write(f"$ {shlex.join(words)}\n{output}\n")
    if done.returncode != 0:
        errors = (line for line in output.splitlines() if "rror" in line)
        raise CompileError(f"{complaint}: {next(errors, ending(done.returncode))}", log)
