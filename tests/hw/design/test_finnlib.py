# SPDX-License-Identifier: Apache-2.0
"""Patches against the installed finn-rtllib."""

from __future__ import annotations

from pathlib import Path

import finn
import pytest

from hw.design.finnlib import HERE, MAX_RANK, SIMULATION, PatchError, patched

RTLLIB = Path(finn.__file__).parent / "finn-rtllib"
PATCHES = sorted(HERE.rglob("*.patch"))
NAMES = sorted({f"{path.name.split('.sv')[0]}.sv" for path in PATCHES})


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_the_name_is_patched_and_only_once(name: str) -> None:
    found = list(RTLLIB.rglob(name))
    assert found
    for path in found:
        text = patched(path, SIMULATION)
        assert text != path.read_text()


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: str(path.relative_to(HERE)))
def test_a_patch_says_why_and_is_used(patch: Path) -> None:
    lines = patch.read_text().splitlines()
    assert (lines[0].startswith("# ") and lines[0].endswith((".", ","))) or len(lines[0]) > 60, "the reason comes first"
    added = [line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")]
    name = f"{patch.name.split('.sv')[0]}.sv"
    kinds = SIMULATION[: SIMULATION.index(patch.parent.name) + 1]
    texts = [patched(path, kinds).splitlines() for path in RTLLIB.rglob(name)]
    assert any(set(added) <= set(text) for text in texts)


@pytest.mark.parametrize("name", NAMES)
def test_another_release_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(f"module {path.stem}; endmodule\n")
    with pytest.raises(PatchError, match="another release"):
        patched(path, SIMULATION)


def test_shapes_of_generated_files_have_room(tmp_path: Path) -> None:
    """Of a file that instantiates a module whose shapes are patched to one size."""
    ones = ", 1" * (MAX_RANK - 2)
    path = tmp_path / "a_core.sv"
    path.write_text("where #(.NDIMS(2), .OUT_SHAPE('{ 3, 4 }), .PE(2)) impl ();")
    after = f"where #(.NDIMS(2), .OUT_SHAPE('{{3, 4{ones}}}), .PE(2)) impl ();"
    assert patched(path) == after
    path.write_text(after)
    assert patched(path) == after


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sv"
    path.write_text("module other; endmodule\n")
    assert patched(path) == path.read_text()
