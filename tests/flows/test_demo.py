# SPDX-License-Identifier: Apache-2.0
"""What the demonstration runs on."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flows import demo


def fake_python(path: Path, answer: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def test_the_oldest_python_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    fake_python(tmp_path / "shims" / "python3.8", "echo 'pyenv: python3.8: command not found' >&2; exit 127")
    fake_python(tmp_path / "pyenv" / "versions" / "3.7.16" / "bin" / "python3", "echo Python 3.7.16")
    fake_python(tmp_path / "pyenv" / "versions" / "3.10.13" / "bin" / "python3", "echo Python 3.10.13")
    fake_python(tmp_path / "pyenv" / "versions" / "3.9.18" / "bin" / "python3", "echo Python 3.9.18")
    assert min(demo.pythons())[0] == (3, 9)


def test_a_verdict_that_is_not_exact_fails(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    python = tmp_path / "bin" / "python"
    fake_python(python, 'echo "DIFFERENT: image 0"')
    assert not demo.classify(python, tmp_path, "cppsim").startswith("EXACT")
