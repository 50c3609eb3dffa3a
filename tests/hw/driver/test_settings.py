# SPDX-License-Identifier: Apache-2.0
"""Packages that are truncated, edited, or not of one build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hw.driver import PackageError
from hw.driver.adopt import add_bitfile
from hw.driver.device import open_overlay
from hw.driver.settings import Settings, digest
from tests.hw.driver import packages


def test_a_whole_package(package: Path) -> None:
    settings = Settings.load(package)
    assert (settings.build_id, settings.clock_mhz) == (packages.BUILD_ID, 200)
    assert settings.bitfile == package / "accelerator.bit"


def test_edited_settings(package: Path) -> None:
    path = package / "settings.json"
    path.write_text(path.read_text().replace("200.0", "300.0"))
    with pytest.raises(PackageError, match=r"settings.json was edited: change the build's options and build again"):
        Settings.load(package)


def test_a_truncated_file(package: Path) -> None:
    path = package / "golden.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackageError, match=r"golden.npz is damaged or changed .*: unpack the package again"):
        Settings.load(package)


def test_a_missing_file(package: Path) -> None:
    (package / "golden.npz").unlink()
    with pytest.raises(PackageError, match=r"golden.npz is missing: the package is truncated, unpack it again"):
        Settings.load(package)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is damaged"), ("[]", "is not of format 1: driver and package are of different versions"), ("{}", "format")],
)
def test_settings_that_are_none(package: Path, text: str, message: str) -> None:
    (package / "settings.json").write_text(text)
    with pytest.raises(PackageError, match=message):
        Settings.load(package)


def test_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is no package of the build"):
        Settings.load(tmp_path)


def bitfile(folder: Path, build_id: str = packages.BUILD_ID, stem: str = "accelerator") -> Path:
    """What the Vivado script leaves."""
    folder.mkdir()
    names = [f"{stem}.bit", f"{stem}.hwh"]
    for name in names:
        (folder / name).write_text(name)
    record = {"build_id": build_id, "files": {name: digest(folder / name) for name in names}}
    (folder / "bitfile.json").write_text(json.dumps(record))
    return folder


def test_a_bitfile_is_added(package: Path, tmp_path: Path) -> None:
    assert add_bitfile(package, bitfile(tmp_path / "vivado")) == package / "accelerator.bit"
    Settings.load(package)
    with pytest.raises(Exception, match="pynq is not installed"):
        open_overlay(Settings.load(package), "board", None, True)


def test_a_bitfile_of_another_build(package: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"accelerator.bit is of build 42, settings.json of build 0123456789abcdef"):
        add_bitfile(package, bitfile(tmp_path / "vivado", "42"))


def test_a_bitfile_of_another_name_or_damaged(package: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="lists"):
        add_bitfile(package, bitfile(tmp_path / "other", stem="top"))
    source = bitfile(tmp_path / "damaged")
    (source / "accelerator.bit").write_text("half")
    with pytest.raises(PackageError, match=r"accelerator.bit is damaged"):
        add_bitfile(package, source)
    with pytest.raises(PackageError, match=r"bitfile.json is missing or damaged"):
        add_bitfile(package, tmp_path)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("accelerator.bit", "accelerator.bit is not there: make it with Vivado"),
        ("accelerator.hwh", "accelerator.hwh is not there"),
        ("bitfile.json", "bitfile.json is missing or damaged"),
    ],
)
def test_a_bitfile_that_is_not_complete(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, message: str
) -> None:
    add_bitfile(package, bitfile(tmp_path / "vivado"))
    (package / gone).unlink()
    monkeypatch.setattr("hw.driver.device._pynq", lambda: None)
    with pytest.raises(PackageError, match=message):
        open_overlay(Settings.load(package), "board", None, True)


def test_a_bitfile_that_was_exchanged(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_bitfile(package, bitfile(tmp_path / "vivado"))
    (package / "accelerator.bit").write_text("another")
    monkeypatch.setattr("hw.driver.device._pynq", lambda: None)
    with pytest.raises(PackageError, match=r"accelerator.bit is damaged or changed"):
        open_overlay(Settings.load(package), "board", None, True)
