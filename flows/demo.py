# SPDX-License-Identifier: Apache-2.0
"""`ir2net demo`: build, deploy the package into a fresh environment of the oldest Python here, and classify.

The environment holds numpy and nothing else, as a board's does. The driver runs on the stand-in, first on the
compiled integer graph, then on the Verilated design.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from flows.build import main
from flows.build import run as build
from flows.config import load_config

OLDEST = (3, 8)
NUMPY = "numpy>=1.17"
ENGINES = ("cppsim", "rtlsim")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    network: Annotated[str, typer.Option(help="What to build.")] = "tiny",
    board: Annotated[str, typer.Option(help="For which board.")] = "pynq-z2",
) -> None:
    """Build, deploy the package into a fresh environment, and classify with its driver, which must say EXACT."""
    context = build(load_config(None, {"network": network, "board": board}))
    folder = Path("build").resolve() / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    (archive,) = context.folders["package"].glob("*.zip")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    python = fresh_environment(folder / "environment")
    version, numpy = call(python, "-c", "import sys, numpy; print(sys.version.split()[0], numpy.__version__)").split()
    package = folder / archive.stem
    print(f"\n{archive.name} in {package}, with Python {version} and numpy {numpy}")
    verdicts = [classify(python, package, engine) for engine in ENGINES]
    if not all(verdict.startswith("EXACT") for verdict in verdicts):
        raise typer.Exit(1)


def classify(python: Path, package: Path, engine: str) -> str:
    """Labels of the package's pictures, then the verdict of its golden vectors, which is returned."""
    pictures = sorted(path.relative_to(package) for path in (package / "images").glob("*.png"))
    print(f"\nIR2NET_DEVICE={engine} python -m driver --classify images/*.png")
    print(call(python, "-m", "driver", "--classify", *map(str, pictures), package=package, engine=engine))
    print(f"\nIR2NET_DEVICE={engine} python -m driver --validate")
    verdict = call(python, "-m", "driver", "--validate", package=package, engine=engine)
    print(verdict)
    return verdict


def call(python: Path, *arguments: str, package: Path | None = None, engine: str = "") -> str:
    """What a command prints, or the error that it ends with; nothing of this project is on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IR2NET"))}
    environment |= {"IR2NET_DEVICE": engine} if engine else {}
    command = [str(python), *arguments]
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def fresh_environment(folder: Path) -> Path:
    """The Python of a new virtual environment with numpy alone: oldest Python here, oldest numpy that runs on it."""
    base = min(pythons(), default=(sys.version_info[:2], Path(sys.executable)))[1]
    python, uv = folder / "bin" / "python", Path(sys.executable).with_name("uv")
    wheel = ("--quiet", "--only-binary", ":all:", NUMPY)
    if uv.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", base, folder], check=True)
        subprocess.run([uv, "pip", "install", "--python", python, "--resolution", "lowest", *wheel], check=True)
    else:
        subprocess.run([base, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", *wheel], check=True)
    return python


def pythons() -> Iterator[tuple[tuple[int, ...], Path]]:
    """Version and path of each Python from 3.8 on that this machine has: on PATH, of pyenv or of uv."""
    home = Path.home()
    places = [
        *(Path(found) for minor in range(OLDEST[1], 15) if (found := shutil.which(f"python3.{minor}"))),
        *Path(os.environ.get("PYENV_ROOT", home / ".pyenv")).glob("versions/*/bin/python3"),
        *(home / ".local" / "share" / "uv" / "python").glob("*/bin/python3"),
    ]
    for path in places:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)
        match = re.fullmatch(r"Python (\d+)\.(\d+)\.\d+\s*", done.stdout)
        # a shim of pyenv for a version that is not chosen is no Python
        if match and (version := (int(match[1]), int(match[2]))) >= OLDEST:
            yield version, path


if __name__ == "__main__":
    main(app)
