# SPDX-License-Identifier: Apache-2.0
"""Patches against the installed finn-rtllib."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hw.rtlsim.patches import PATCHES, Move, Patch, PatchError, patched


def finn_file(name: str) -> Path:
    spec = importlib.util.find_spec("finn")
    assert spec is not None and spec.submodule_search_locations
    (found,) = Path(next(iter(spec.submodule_search_locations))).glob(f"finn-rtllib/**/{name}")
    return found


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.file)
def test_patch_applies_once_and_keeps_every_line(patch: Patch | Move) -> None:
    path = finn_file(patch.file)
    before = path.read_text()
    after = patched(path).decode()
    assert after != before
    assert patch.apply(after, path) == after
    assert len(after.splitlines()) == len(before.splitlines())
    assert patch.reason
    if isinstance(patch, Move):
        assert sorted(after.splitlines()) == sorted(before.splitlines())


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.file)
def test_another_release_is_noticed(patch: Patch | Move, tmp_path: Path) -> None:
    copy = tmp_path / patch.file
    copy.write_text(
        finn_file(patch.file).read_text().replace("unsigned  lo", "unsigned low").replace("leaf_load_t", "load_t")
    )
    with pytest.raises(PatchError, match=patch.file):
        patched(copy)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sv"
    path.write_bytes(b"module other; endmodule\r\n")
    assert patched(path) == path.read_bytes()
