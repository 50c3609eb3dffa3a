# SPDX-License-Identifier: Apache-2.0
"""What a step's result depends on of this project's own code: all that its module imports, and the files beside that.

A module counts by its syntax tree: comments and formatting change nothing. One that uses pkgutil finds the modules of
its package by itself, so all of them count. Files beside a module are RTL, C++, templates and patches that its folder's
code reads.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("flows", "hw", "model")
RESOURCES = (".sv", ".v", ".vlt", ".cpp", ".h", ".j2", ".patch", ".tcl")


@cache
def code_digest(module: str) -> str:
    """Return a digest that differs where the result of a module's functions may differ."""
    seen: dict[Path, str] = {}
    waiting = [module]
    while waiting:
        path = _path(waiting.pop())
        if path is None or path in seen:
            continue
        seen[path], found = _parsed(path)
        waiting += found
        if "pkgutil" in found:
            waiting += [".".join(other.relative_to(ROOT).with_suffix("").parts) for other in path.parent.rglob("*.py")]
    beside = {file for folder in {path.parent for path in seen} for file in _beside(folder)}
    parts = [f"{path.relative_to(ROOT)} {tree}" for path, tree in seen.items()]
    parts += [f"{file.relative_to(ROOT)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in beside]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def _beside(folder: Path) -> Iterator[Path]:
    """Yield the files in a package's folder, and below it, that are no modules but belong to its code."""
    for path in folder.iterdir():
        if path.is_dir() and not (path / "__init__.py").exists():
            yield from _beside(path)
        elif path.suffix in RESOURCES:
            yield path


@cache
def _parsed(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a module's syntax tree, and what it imports."""
    tree = ast.parse(path.read_text())
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(_imported(tree, path))


def _imported(tree: ast.Module, path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, also those imported inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = node.module or ""
            if node.level:
                parts = path.relative_to(ROOT).parts[: -node.level]
                home = ".".join((*parts, *filter(None, [home])))
            yield home
            yield from (f"{home}.{alias.name}" for alias in node.names)


def _path(module: str) -> Path | None:
    """Return the file of a module of this project; None for any other name."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*parts)
    files = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in files if file.is_file()), None)
