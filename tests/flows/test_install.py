# SPDX-License-Identifier: Apache-2.0
"""The wheel: every data file is in it, and what it installs is a working `ir2net`, away from this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.command import ROOT

ROOMS = ("model", "hw", "flows")
UV = Path(sys.executable).with_name("uv")
LEFT_OUT = {"flows/check_tools.sh"}  # for `make`


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel was installed, without its dependencies and without a network."""
    if not UV.exists():
        pytest.skip("uv, which `make` installs, builds the wheel")
    work = tmp_path_factory.mktemp("wheel")
    source, target = work / "source", work / "target"
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    offline = [UV, "--offline", "--quiet"]
    subprocess.run([*offline, "build", "--wheel", "--python", sys.executable, "--out-dir", work, source], check=True)
    (wheel,) = work.glob("*.whl")
    install = ["pip", "install", "--no-deps", "--python", sys.executable, "--target", target, wheel]
    subprocess.run([*offline, *install], check=True)
    return target


def call(installed: Path, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder of its own; nothing of the checkout is on the path."""
    script = "import sys; sys.argv[0] = 'ir2net'; from flows.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("IR2NET", "PYTHONPATH"))}
    environment |= {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"} | variables
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_file_of_the_rooms_is_installed(installed: Path) -> None:
    files = {str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()}
    wanted = {name for name in files if "__pycache__" not in name} - LEFT_OUT
    assert {name for name in wanted if not (installed / name).is_file()} == set()
    assert {f"{room}/py.typed" for room in ROOMS} <= wanted


def test_the_command_is_there(installed: Path, tmp_path: Path) -> None:
    assert (installed / "bin" / "ir2net").exists()
    said = call(installed, tmp_path, "--version").stdout
    assert re.fullmatch(r"ir2net \d+\.\d+\.\d+\n", said)
    said = call(installed, tmp_path, "--help").stdout
    for name in ("build", "sweep", "train", "evaluate", "pack", "boards", "networks", "demo", "cache"):
        assert re.search(rf"\b{name} ", said), name


def test_what_the_commands_say(installed: Path, tmp_path: Path) -> None:
    assert "pynq-z2" in call(installed, tmp_path, "boards").stdout
    assert re.search(r"resnet20 .* top-1 8\d\.\d\d% of 10000", call(installed, tmp_path, "networks").stdout)
    said = call(installed, tmp_path, "cache", IR2NET_CACHE=str(tmp_path / "cache")).stdout
    assert said.startswith(f"{tmp_path / 'cache'}: 0 MB")
    done = call(installed, tmp_path, "build", "--network", "resnet21")
    assert (done.returncode, done.stdout) == (1, "")
    assert "did you mean resnet20" in done.stderr
    done = call(installed, tmp_path, "evaluate", "--network", "resnet21")
    assert done.returncode == 1 and "did you mean resnet20" in done.stderr
    done = call(installed, tmp_path, "biuld")
    assert done.returncode == 1 and "Did you mean 'build'?" in done.stderr


def test_a_shell_completes_options(installed: Path, tmp_path: Path) -> None:
    asked = {"_IR2NET_COMPLETE": "complete_bash", "COMP_WORDS": "ir2net build --boa", "COMP_CWORD": "2"}
    assert call(installed, tmp_path, **asked).stdout.split() == ["--board"]
