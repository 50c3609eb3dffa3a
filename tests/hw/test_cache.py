# SPDX-License-Identifier: Apache-2.0
"""The cache: its limit, what a failure leaves, and the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw.cache import LIMIT, Room, key_of
from hw.cxx import CompileError, run


def fill(size: int) -> object:
    return lambda folder, log: (folder / "content").write_bytes(b"x" * size)


def test_the_entries_unused_for_longest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "0.000004")  # 4000 bytes
    room, other = Room("some", tmp_path), Room("other", tmp_path)
    for age, (place, key) in enumerate([(room, "a"), (other, "b"), (room, "c")]):
        os.utime(place.get(key, fill(900)), (1000 + age, 1000 + age))
    assert room.find("a") is not None  # and is the newest now
    room.get("d", fill(1500))
    assert [room.find("a") is None, other.find("b") is None, room.find("c") is None] == [False, True, False]


def test_a_failure_leaves_its_log_and_nothing_else(tmp_path: Path) -> None:
    room = Room("some", tmp_path)

    def fail(folder: Path, log: Path) -> None:
        run("sh refuses", ["sh", "-c", "echo half > half; echo error: told >&2; exit 3"], folder, log)

    with pytest.raises(CompileError, match="sh refuses: error: told") as failure:
        room.get("a", fail)
    assert failure.value.log is not None and "error: told" in failure.value.log.read_text()
    assert room.find("a") is None
    assert [path.name for path in room.folder.iterdir()] == ["a.log"]
    assert room.get("a", fill(1)).is_dir()
    assert not failure.value.log.exists()


def test_keys_are_those_of_the_parts_not_of_their_sum() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of(b"abc", "")}) == 4


def test_the_command_shows_and_empties(tmp_path: Path) -> None:
    Room("some", tmp_path).get("a", fill(2_000_000))
    texts = []
    for options in ([], ["--empty"]):
        done = subprocess.run(
            [sys.executable, "-m", "hw.cache", *options],
            env=os.environ | {"IR2NET_CACHE": str(tmp_path)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        texts.append(done.stdout)
    assert texts[0].startswith(f"{tmp_path}: 2 MB") and "1 entries" in texts[0]
    assert texts[1].startswith(f"{tmp_path}: 0 MB")
    assert not tmp_path.exists()
