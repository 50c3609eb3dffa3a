# SPDX-License-Identifier: Apache-2.0
"""Designs routed whole and in groups, with a stand-in for nextpnr, and with nextpnr where it is installed."""

from pathlib import Path

import pytest

from hw.route import nextpnr
from hw.route.design import Routed, divide, route_design
from hw.route.nextpnr import RouteError
from hw.synth.resources import Resources
from tests.hw.route import fake
from tests.hw.route.designs import pair
from tests.tools import needs_nextpnr

SLOW, QUIET = "Slow_rtl_0", "Quiet_rtl_0"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, as synthesis is what takes the time here."""
    return tmp_path_factory.mktemp("cache")


def route(folder: Path, cache: Path, seed: int, bits: int = 4) -> Routed:
    program = nextpnr.command()
    assert program is not None
    return route_design(pair(folder, bits), program, clock_mhz=100, seed=seed, cache_dir=cache)


@pytest.mark.parametrize(
    ("slow", "quiet", "parts", "left_out"),
    [
        (Resources(lut=30000), Resources(lut=30000), ((SLOW, QUIET),), ()),
        (Resources(lut=40000), Resources(lut=30000), ((SLOW,), (QUIET,)), ()),
        (Resources(bram36=70), Resources(bram36=10), ((SLOW,), (QUIET,)), ()),
        (Resources(lut=80000), Resources(lut=1), ((SLOW,), (QUIET,)), ()),
        (Resources(dsp=157), Resources(lut=1), ((QUIET,),), (SLOW,)),
    ],
)
def test_division(
    tmp_path: Path, slow: Resources, quiet: Resources, parts: tuple[tuple[str, ...], ...], left_out: tuple[str, ...]
) -> None:
    assert divide(pair(tmp_path, 4), {"slow": slow, "quiet": quiet}) == (parts, left_out)


def test_whole_and_from_the_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = fake.install(monkeypatch, tmp_path / "bin")
    found = route(tmp_path / "design", cache, seed=1)
    assert (found.tool, found.fmax_mhz) == ("nextpnr-ecp5 0.11.1", 435.92)
    assert (found.parts, found.left_out) == (((SLOW, QUIET),), ())
    assert [path.end for path in found.paths] == [(SLOW, "out0_V_TDATA[6]_reg.CE"), (QUIET, "out0_V_TDATA[2]_reg.M")]
    assert route(tmp_path / "moved", cache, seed=1) == found
    assert len(runs.read_text().splitlines()) == 1
    route(tmp_path / "another seed", cache, seed=2)
    route(tmp_path / "another content", cache, seed=1, bits=5)
    assert len(runs.read_text().splitlines()) == 3


def test_in_groups(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = fake.install(monkeypatch, tmp_path / "bin")
    monkeypatch.setattr("hw.route.design.AVAILABLE", Resources(lut=100, ff=30))
    assert route(tmp_path / "design", cache, seed=1).parts == ((SLOW,), (QUIET,))
    assert len(runs.read_text().splitlines()) == 2


def test_a_failure_leaves_its_log_and_nothing_else(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.install(monkeypatch, tmp_path / "bin", fake.FAILS)
    with pytest.raises(RouteError, match="no BELs remaining") as failure:
        route(tmp_path / "design", cache, seed=4)
    log = failure.value.log
    assert log is not None
    assert "Packing LUTs" in log.read_text()
    left = list((cache / "route").glob("*"))
    assert log in left
    assert not any(path.name.startswith(("route-", "making-")) or path.name == log.stem for path in left)


@needs_nextpnr
def test_a_planted_slow_path_is_found_and_named(tmp_path: Path, cache: Path) -> None:
    """A comparison of 300 bits before a clock enable: the stand-in's clock is that path's."""
    found = route(tmp_path / "design", cache, seed=1, bits=300)
    worst, other = found.paths
    assert worst.end[0] == SLOW
    assert worst.end[1].startswith("out0_V_TDATA[")
    assert worst.end[1].endswith("_reg.CE")
    assert worst.start[0] == SLOW
    assert worst.start[1].startswith(("held[", "bound["))
    assert found.fmax_mhz == pytest.approx(1000 / worst.delay_ns, rel=1e-3)
    assert other.end[0] == QUIET
    assert worst.delay_ns > 3 * other.delay_ns
