# SPDX-License-Identifier: Apache-2.0
"""`make demo`: build, deploy the package into a fresh environment of the oldest Python here, and classify.

The environment holds numpy and nothing else, as a board's does. The driver runs on the stand-in, first on the
compiled integer graph, then on the Verilated design.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from flows.guard import guarded

OLDEST = (3, 8)
NUMPY = "numpy>=1.17"
ENGINES = ("cppsim", "rtlsim")
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the demonstration; 0 where the driver says EXACT on every engine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", default="tiny")
    parser.add_argument("--board", default="pynq-z2")
    options = parser.parse_args()
    design = f"{options.network}-{options.board}"
    build = [sys.executable, str(ROOT / "flows" / "build.py"), "--network", options.network, "--board", options.board]
    if subprocess.run(build, cwd=ROOT, check=False).returncode:
        return 1
    folder = ROOT / "build" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    (archive,) = (ROOT / "build" / design).glob("*_package/*.zip")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    python = fresh_environment(folder / "environment")
    version, numpy = run(python, "-c", "import sys, numpy; print(sys.version.split()[0], numpy.__version__)").split()
    print(f"\n{archive.name} in {folder / design}, with Python {version} and numpy {numpy}")
    verdicts = [classify(python, folder / design, engine) for engine in ENGINES]
    return 0 if all(verdict.startswith("EXACT") for verdict in verdicts) else 1


def classify(python: Path, package: Path, engine: str) -> str:
    """Labels of the package's pictures, then the verdict of its golden vectors, which is returned."""
    pictures = sorted(path.relative_to(package) for path in (package / "images").glob("*.png"))
    print(f"\nIR2NET_DEVICE={engine} python -m driver --classify images/*.png")
    print(run(python, "-m", "driver", "--classify", *map(str, pictures), package=package, engine=engine))
    print(f"\nIR2NET_DEVICE={engine} python -m driver --validate")
    verdict = run(python, "-m", "driver", "--validate", package=package, engine=engine)
    print(verdict)
    return verdict


def run(python: Path, *arguments: str, package: Path | None = None, engine: str = "") -> str:
    """What a command prints, or the error that it ends with; nothing of this project is on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IR2NET"))}
    environment |= {"IR2NET_DEVICE": engine} if engine else {}
    command = [str(python), *arguments]
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def fresh_environment(folder: Path) -> Path:
    """The Python of a new virtual environment with numpy alone: oldest Python here, oldest numpy that runs on it."""
    base = min(pythons(), default=(sys.version_info[:2], Path(sys.executable)))[1]
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", str(base), str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*install, "--only-binary", ":all:", "--resolution", "lowest", NUMPY], check=True)
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
    guarded(lambda: sys.exit(main()))
