# SPDX-License-Identifier: Apache-2.0
"""A package whose design is a few lines of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.driver import standin
from tests.hw.driver import packages


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin, "open_engine", packages.Engine)
    monkeypatch.delenv("IR2NET_FAULT", raising=False)
    monkeypatch.setenv("IR2NET_DEVICE", "rtlsim")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return packages.write(tmp_path / "package")
