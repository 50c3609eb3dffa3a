# SPDX-License-Identifier: Apache-2.0
"""Patches against the installed finn-rtllib."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from hw.rtlsim.patches import FASTER, MODELS, PATCHES, patched
from hw.rtlsim.patching import MAX_RANK, AnyPatch, Move, PatchError, Shapes

SHAPES = [patch for patch in PATCHES if isinstance(patch, Shapes)]
STRICT = [patch for patch in (*PATCHES, *MODELS, *FASTER) if patch not in SHAPES]


def finn_files(pattern: str) -> Iterator[Path]:
    spec = importlib.util.find_spec("finn")
    assert spec is not None and spec.submodule_search_locations
    library = Path(next(iter(spec.submodule_search_locations))) / "finn-rtllib"
    return (path for path in library.rglob("*.sv") if fnmatch(path.name, pattern))


@pytest.mark.parametrize("patch", STRICT, ids=lambda patch: patch.file)
def test_patch_applies_once_and_keeps_every_line(patch: AnyPatch) -> None:
    for path in finn_files(patch.file):
        before = path.read_text()
        after = patched(path).decode()
        assert after != before
        assert patch.apply(after, path) == after
        lines = after.splitlines()
        if f'`line 1 "{path}" 0' in lines:  # what is in front does not count
            lines = lines[lines.index(f'`line 1 "{path}" 0') + 1 :]
        assert len(lines) == len(before.splitlines())
        assert patch.reason
        if isinstance(patch, Move):
            assert sorted(patch.apply(before, path).splitlines()) == sorted(before.splitlines())


def test_every_patched_file_is_there() -> None:
    for patch in STRICT:
        assert list(finn_files(patch.file)), patch.file


@pytest.mark.parametrize("patch", STRICT, ids=lambda patch: patch.file)
def test_another_release_is_noticed(patch: AnyPatch) -> None:
    marker = next((getattr(patch, name) for name in ("first", "old") if hasattr(patch, name)), "shortreal")
    for path in finn_files(patch.file):
        with pytest.raises(PatchError, match=patch.file):
            patch.apply(path.read_text().replace(marker, ""), path)


def test_shapes_have_room() -> None:
    """Of a generated file and of the module that it instantiates, once and for all."""
    (patch,) = (patch for patch in SHAPES if patch.file == "*_core.sv")
    ones = ", 1" * (MAX_RANK - 2)
    text = "where #(.NDIMS(2), .OUT_SHAPE('{ 3, 4 }), .PE(2)) impl (); where #(int OUT_SHAPE[NDIMS], int DIMS[D])"
    after = f"where #(.NDIMS(2), .OUT_SHAPE('{{3, 4{ones}}}), .PE(2)) impl (); where #(int OUT_SHAPE[16], int DIMS[16])"
    assert patch.apply(text, Path("a_core.sv")) == after
    assert patch.apply(after, Path("a_core.sv")) == after


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sv"
    path.write_bytes(b"module other; endmodule\r\n")
    assert patched(path) == path.read_bytes()
