# SPDX-License-Identifier: Apache-2.0
"""What CXX may say."""

from pathlib import Path

import pytest

from hw.cxx import compiler, cxx


def tool(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_compiler_may_be_words_or_a_path_with_a_blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", " "):
        monkeypatch.setenv("CXX", value)
        assert cxx() == ["g++"]
    ccache = tool(tmp_path / "ccache")
    monkeypatch.setenv("CXX", f"{ccache} g++ -m64")
    assert (cxx(), compiler()) == ([str(ccache), "g++", "-m64"], str(ccache))
    blank = tool(tmp_path / "my tools" / "g++")
    monkeypatch.setenv("CXX", str(blank))
    assert (cxx(), compiler()) == ([str(blank)], str(blank))
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    assert compiler() is None
