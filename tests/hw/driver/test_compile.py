# SPDX-License-Identifier: Apache-2.0
"""The stand-in compiled on the machine itself: what the command is, and what is left where it fails."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from hw.driver import DeviceError, PackageError, settings
from hw.driver.standin import engine
from hw.driver.standin.compile import make_cppsim
from tests.hw.driver import packages

COMPILER = """\
#!{python}
import pathlib, sys
print("program.cpp:1: warning: noise")
pathlib.Path(sys.argv[-1]).write_text("half")
if "-refuse" in sys.argv:
    print("program.cpp:7: error: no such kernel")
    sys.exit(1)
pathlib.Path(sys.argv[-1]).write_text(" ".join(sys.argv[1:-2]) + pathlib.Path("program.cpp").read_text())
"""


def with_program(package: Path, *flags: str, files: tuple[str, ...] = ()) -> Path:
    """The package with a program, as the build makes it."""
    (package / "standin" / "cppsim").mkdir()
    (package / "standin" / "cppsim" / "program.cpp").write_text("// a program")
    (package / "standin" / "design.json").write_text(json.dumps({"build_id": packages.BUILD_ID, "compile": flags}))
    content = settings.read(package)
    content["files"] = {
        name: settings.digest(package / name)
        for name in [*content["files"], "standin/cppsim/program.cpp", "standin/design.json", *files]
    }
    settings.write(package, content)
    return package


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c++"
    path.write_text(COMPILER.format(python=shlex.quote(sys.executable)))
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    monkeypatch.setattr("platform.machine", lambda: "armv7l")


@pytest.mark.usefixtures("compiler")
def test_one_command(package: Path) -> None:
    with pytest.raises(DeviceError, match=r"cppsim-armv7l.so is not there .*: compile it here with .* --make-standin"):
        engine.open_engine("cppsim", package / "standin", packages.shapes())
    made = make_cppsim(with_program(package, "-O3", "program.cpp"))
    assert made == package / "standin" / "cppsim-armv7l.so"
    assert made.read_text() == "-O3 program.cpp// a program"
    assert make_cppsim(package) == made  # once more


@pytest.mark.usefixtures("compiler")
def test_nothing_is_left_of_a_compiler_that_fails(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_program(package, "-refuse")
    before = sorted(package.rglob("*"))
    with pytest.raises(DeviceError, match=r"c\+\+ cannot compile .*program.cpp: program.cpp:7: error: no such kernel"):
        make_cppsim(package)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match="no-such-compiler is not installed: install g"):
        make_cppsim(package)
    assert sorted(package.rglob("*")) == before


def test_a_library_that_came_with_the_package_stays(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    made = package / "standin" / engine.library("cppsim")
    made.write_text("of the build")
    assert make_cppsim(with_program(package, files=(f"standin/{made.name}",))) == made
    assert made.read_text() == "of the build"


def test_a_package_without_a_program(package: Path) -> None:
    with pytest.raises(PackageError, match="brings no program to compile: build the package with --verify cppsim"):
        make_cppsim(package)
