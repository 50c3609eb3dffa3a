# SPDX-License-Identifier: Apache-2.0
"""Patches for synthesis fit the installed finn-rtllib, and say so where they do not."""

from pathlib import Path

import finn
import pytest

from hw.synth.patches import PATCHES, PatchError, patched

RTLLIB = Path(finn.__file__).parent / "finn-rtllib"


@pytest.mark.parametrize("file", sorted({patch.file for patch in PATCHES}))
def test_patches_apply_to_the_installed_files(file: str) -> None:
    (path,) = RTLLIB.rglob(file)
    text = patched(path)
    for patch in PATCHES:
        if patch.file == file:
            assert patch.new in text
            assert patch.old not in text


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "cell.sv"
    path.write_text("module cell; endmodule\n")
    assert patched(path) == path.read_text()


def test_another_version_of_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vpc.sv"
    path.write_text("module vpc; endmodule\n")
    with pytest.raises(PatchError, match=r"vpc\.sv"):
        patched(path)
