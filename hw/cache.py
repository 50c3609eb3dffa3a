# SPDX-License-Identifier: Apache-2.0
"""The one cache: what takes long to make and can be made again, under the content that it was made of.

It lies in the folder that IR2NET_CACHE names, by default ~/.cache/ir2net, with a room for each kind of content:

    ROOM/KEY/              what was made, and record.json with the sha256 of every file
    ROOM/KEY.log           what the tools said of an attempt that failed

Entries that were not used for longest go when all together are larger than IR2NET_CACHE_GB (default 10).
`python -m hw.cache` shows what there is, `python -m hw.cache --empty` removes it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

FOLDER, LIMIT = "IR2NET_CACHE", "IR2NET_CACHE_GB"
RECORD = "record.json"
LOCKS = "locks"
KEPT = 0.9
"""Share of the limit that is left when entries have gone, so that not every new one removes another."""
Maker = Callable[[Path, Path], None]
"""Fills a folder, and writes what its tools say to a log."""


def root() -> Path:
    """Return the folder of the cache."""
    configured = os.environ.get(FOLDER)
    return Path(configured or "~/.cache/ir2net").expanduser().resolve()


def key_of(*parts: str | bytes) -> str:
    """Return a key that differs where any of the parts does."""
    state = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        state.update(f"{len(content)}:".encode() + content)
    return state.hexdigest()[:32]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Room:
    """The entries of one kind, in the folder `base` or, by default, in that of the cache."""

    name: str
    base: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the entries lie; made where it is missing, for this user alone."""
        folder = (self.base or root()) / self.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def find(self, key: str) -> Path | None:
        """Return the folder of an entry and count it as used; None where it is missing, damaged or someone else's."""
        home = self.folder / key
        try:
            record = json.loads((home / RECORD).read_text())
            if record != _record(key, home) or home.stat().st_uid != os.getuid():
                return None
            os.utime(home)
        except (OSError, ValueError):
            return None
        return home

    def get(self, key: str, make: Maker) -> Path:
        """Return the folder of an entry, which `make` fills where it is not there; two at once wait for each other.

        What `make` raises comes through, and its log stays; nothing half-made is ever found.
        """
        home = self.find(key)
        if home is None:
            locks = self.folder.parent / LOCKS
            locks.mkdir(exist_ok=True, mode=0o700)
            with FileLock(locks / f"{self.name}-{key}"):
                home = self.find(key) or self._make(key, make)
        return home

    def _make(self, key: str, make: Maker) -> Path:
        home, log = self.folder / key, self.folder / f"{key}.log"
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="making-") as scratch:
            made = Path(scratch) / key
            made.mkdir(mode=0o700)
            make(made, log)
            (made / RECORD).write_text(json.dumps(_record(key, made)))
            if home.is_dir() and not home.is_symlink():
                shutil.rmtree(home)
            else:
                home.unlink(missing_ok=True)
            made.replace(home)
        log.unlink(missing_ok=True)
        _trim(self.folder.parent)
        return home


def _record(key: str, home: Path) -> dict[str, str]:
    """Return the key and the sha256 of every file of an entry."""
    return {"key": key} | {path.name: file_digest(path) for path in sorted(home.iterdir()) if path.name != RECORD}


def _entries(base: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each entry was last used, its bytes, and its folder."""
    for record in base.glob(f"*/*/{RECORD}"):
        home = record.parent
        yield home.stat().st_mtime, sum(path.stat().st_size for path in home.iterdir()), home


def _trim(base: Path) -> None:
    limit = float(os.environ.get(LIMIT, "10")) * 1e9
    entries = sorted(_entries(base))
    size = sum(used for _, used, _ in entries)
    if size <= limit:
        return
    for _, used, home in entries[:-1]:  # the newest is what was just made
        shutil.rmtree(home, ignore_errors=True)
        size -= used
        if size <= KEPT * limit:
            return


def rows(base: Path) -> Iterable[str]:
    """Yield lines that say how large the cache in a folder is, and what is in it."""
    sizes: dict[str, list[int]] = {}
    for _, used, home in _entries(base):
        sizes.setdefault(home.parent.name, []).append(used)
    yield f"{base}: {sum(map(sum, sizes.values())) / 1e6:,.0f} MB"
    yield from (
        f"  {name:<10} {len(used):5} entries {sum(used) / 1e6:8,.0f} MB" for name, used in sorted(sizes.items())
    )


def main() -> int:
    """Show the cache, or empty it."""
    parser = argparse.ArgumentParser(prog="python -m hw.cache", description="the cache of builds")
    parser.add_argument("--empty", action="store_true", help="remove all of it; no build may be running")
    if parser.parse_args().empty:
        shutil.rmtree(root(), ignore_errors=True)
    print("\n".join(rows(root())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
