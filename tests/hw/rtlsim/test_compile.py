# SPDX-License-Identifier: Apache-2.0
"""The compile cache: what makes a new library, what does not, and what a failure says."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hw.rtlsim.compile import CompileError, build
from hw.streams.sim import Simulation

ECHO = """\
`include "offset.svh"
module echo #(parameter int unsigned Start = 5, parameter Name = "none") (
    input logic ap_clk, output logic [31:0] value, output logic named
);
  assign value = Start + `OFFSET;
  assign named = Name == "some/name.dat";
endmodule
"""
HEADER = "offset.svh"


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source, and an empty cache."""
    (tmp_path / HEADER).write_text("`define OFFSET 32'd100\n")
    source = tmp_path / "echo.sv"
    unique = uuid.uuid4().hex
    source.write_text(ECHO.replace("echo", f"echo_{unique}"))
    monkeypatch.setenv("IR2NET_CACHE", str(tmp_path / "cache"))
    return source


def top(source: Path) -> str:
    return source.read_text().split("module ")[1].split(" ")[0]


def value(library: Path) -> int:
    with Simulation(library) as sim:
        return sim.peek("value")


def test_key_is_the_content(echo: Path, tmp_path: Path) -> None:
    name, header = top(echo), tmp_path / HEADER
    first = build(name, [header, echo])
    stamp = first.stat().st_mtime_ns
    assert value(first) == 105
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / echo.name).write_text(echo.read_text())
    assert build(name, [header, moved / echo.name]) == first
    assert first.stat().st_mtime_ns == stamp
    header.write_text("`define OFFSET 32'd200\n")
    second = build(name, [header, echo])
    assert second != first
    assert value(second) == 205


def test_parameters(echo: Path, tmp_path: Path) -> None:
    library = build(top(echo), [tmp_path / HEADER, echo], parameters={"Start": 7, "Name": "some/name.dat"})
    assert value(library) == 107
    with Simulation(library) as sim:
        assert sim.peek("named") == 1
    with pytest.raises(ValueError, match="not expressible"):
        build(top(echo), [tmp_path / HEADER, echo], parameters={"Name": 'quo"ted'})


def test_two_builds_at_once(echo: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        libraries = list(pool.map(lambda _: build(top(echo), [tmp_path / HEADER, echo]), range(2)))
    assert libraries[0] == libraries[1]
    assert value(libraries[0]) == 105
    assert not list(libraries[0].parents[1].glob("making-*")), "scratch folders left"


def test_failure_names_file_line_and_log(tmp_path: Path) -> None:
    source = tmp_path / "bad_syntax.sv"
    source.write_text("module bad_syntax (input logic a);\n  assign = a;\nendmodule\n")
    with pytest.raises(CompileError, match=rf"{source}:2") as failure:
        build("bad_syntax", [source])
    assert "bad_syntax.sv:2" in failure.value.log.read_text()
    failure.value.log.unlink()
    with pytest.raises(FileNotFoundError):
        build("absent", [tmp_path / "absent.sv"])


def test_parameters_that_a_module_refuses_do_not_compile(tmp_path: Path) -> None:
    source = tmp_path / "refuses.sv"
    source.write_text(
        "module refuses #(parameter int N = 1) (input logic ap_clk);\n"
        '  if (N > 1) $error("refuses: N must be 1, not %0d", N);\nendmodule\n'
    )
    with pytest.raises(CompileError, match="N must be 1, not 2") as failure:
        build("refuses", [source], parameters={"N": 2})
    failure.value.log.unlink()
