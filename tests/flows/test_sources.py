# SPDX-License-Identifier: Apache-2.0
"""What makes a step's result stale: the code that it imports, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import sources
from flows.sources import code_digest
from tests.flows.command import ROOT


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    code_digest.cache_clear()
    yield
    code_digest.cache_clear()


def changed_by(monkeypatch: pytest.MonkeyPatch, module: str, file: str, text: str) -> bool:
    """Whether a step's digest changes where `text` is added to a file."""
    before, path, plain = code_digest(module), ROOT / file, sources._parsed
    changed = sources._parsed.__wrapped__
    monkeypatch.setattr(Path, "read_text", lambda self: self.read_bytes().decode() + text)
    monkeypatch.setattr(sources, "_parsed", lambda found: (changed if found == path else plain)(found))
    code_digest.cache_clear()
    return code_digest(module) != before


CODE = "\nEXTRA = 1\n"


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("flows.steps.fold", "flows/steps/fold.py"),
        ("flows.steps.fold", "hw/transforms/fold.py"),
        ("flows.steps.fold", "hw/ops/finn/thresholding.py"),  # which the registry finds by itself
        ("flows.steps.simulate", "hw/rtlsim/nodes.py"),
        ("flows.steps.export", "model/networks/ties.py"),
        ("flows.steps.package", "hw/driver/standin/engine.py"),
    ],
)
def test_code_that_a_step_imports(module: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed_by(monkeypatch, module, file, CODE)


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("flows.steps.fold", "model/export.py"),
        ("flows.steps.design", "flows/steps/package.py"),
        ("flows.steps.synthesise", "hw/transforms/streamline.py"),
        ("flows.steps.export", "model/train.py"),
        ("flows.steps.export", "hw/transforms/fold.py"),
    ],
)
def test_code_that_it_does_not_import(module: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not changed_by(monkeypatch, module, file, CODE)


@pytest.mark.parametrize("module", ["flows.steps.export", "flows.steps.fold", "flows.steps.package"])
@pytest.mark.parametrize("file", ["model/train.py", "flows/pipeline.py", "hw/transforms/fold.py", "model/export.py"])
def test_a_comment_makes_nothing_again(module: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not changed_by(monkeypatch, module, file, "# a comment\n")


def test_files_beside_the_code_count(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.read_bytes
    before = code_digest("flows.steps.design")
    for name in ("stream_gauge.sv", "fifo.sv.patch", "harness.cpp", "xnor_mvu.sv"):
        code_digest.cache_clear()
        monkeypatch.setattr(
            Path, "read_bytes", lambda self, name=name: plain(self) + (b"//" if self.name == name else b"")
        )
        assert code_digest("flows.steps.design") != before, name


def test_every_step_is_found() -> None:
    from flows.steps import ORDER

    assert all(sources._path(step.run.__module__) is not None for step in ORDER)
