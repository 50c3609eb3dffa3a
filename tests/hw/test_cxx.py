# SPDX-License-Identifier: Apache-2.0
"""What CXX may say, and what is said of a tool that fails."""

from pathlib import Path

import pytest

from hw.cxx import CompileError, compiler, cxx, run


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


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo error: line 3; exit 1", "it fails: error: line 3"),
        ("exit 7", "it fails: exit status 7"),
        ("kill -9 $$", "it fails: it was killed, .* memory runs out; --workers 1"),
    ],
)
def test_a_tool_that_fails_says_why(script: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=message) as error:
        run("it fails", ["sh", "-c", script], tmp_path, tmp_path / "log")
    assert error.value.log == tmp_path / "log"
