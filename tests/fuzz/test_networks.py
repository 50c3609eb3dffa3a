# SPDX-License-Identifier: Apache-2.0
"""Random networks are exact on every rung; `make fuzz` runs many more of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.ladder import climb
from tests.fuzz.networks import Case, cases

SAVED = sorted((Path(__file__).parent / "cases").glob("*.json"))
DRAWS, EACH = 5, 5
"""Seeds, and what each of them draws: the smallest case, the same for all, and four others."""
SEEN: set[Case] = set()


@pytest.mark.parametrize("number", range(DRAWS))
def test_random_networks_are_exact(number: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    @seed(number)
    @settings(
        max_examples=EACH, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases(small=True))
    def each(case: Case) -> None:
        if case not in SEEN:
            climb(case, tmp_path_factory.mktemp("case"))
            SEEN.add(case)

    each()


@pytest.mark.parametrize("file", SAVED, ids=lambda path: path.stem)
def test_what_failed_once_is_exact(file: Path, tmp_path: Path) -> None:
    climb(Case.from_key(file.read_text()), tmp_path)
