# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from hw import finn_env


@pytest.fixture(scope="session", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    finn_env.setup(tmp_path_factory.mktemp("finn"))
