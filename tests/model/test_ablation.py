# SPDX-License-Identifier: Apache-2.0
"""The ablation trains with and without each means, and goes on where it was stopped."""

from pathlib import Path
from typing import Any

import pytest

from model import ablation
from model.ablation import MEANS, Ablation, Trial, main
from model.errors import TrainingError
from model.training.recipe import Recipe


def short(output: Path, *, seeds: int = 1, threshold: float = 0.15) -> Ablation:
    main(network="tiny", seeds=seeds, epochs=0.1, threshold=threshold, output=output, threads=1)
    return Ablation.model_validate_json(output.read_text())


def test_every_row_is_trained_with_its_means(tmp_path: Path) -> None:
    found = short(tmp_path / "new" / "tiny.json", threshold=1.0)
    assert [trial.means for trial in found.trials] == list(MEANS)
    erased = {trial.means: trial.erased for trial in found.trials}
    assert erased["none"] is None and erased["recovery"] is None
    # at lambda 1 what lies below its column's mean is erased: about half
    assert all(0.2 < (erased[means] or 0) < 0.8 for means in ("restriction", "both"))
    assert all(0 <= trial.top1 <= 1 for trial in found.trials)
    # one and the same start and batches: what differs is the recovery
    assert len({trial.top1 for trial in found.trials}) > 1


def test_a_second_run_adds_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "tiny.json"
    first = short(output)
    trained: list[int] = []
    train = ablation.train

    def counted(means: str, recipe: Recipe, threshold: float, *, seed: int, **more: Any) -> Trial:
        trained.append(seed)
        return train(means, recipe, threshold, seed=seed, **more)

    monkeypatch.setattr(ablation, "train", counted)
    second = short(output, seeds=2)
    assert trained == [1] * len(MEANS)
    assert second.trials[: len(MEANS)] == first.trials


def test_results_of_other_settings_stay(tmp_path: Path) -> None:
    output = tmp_path / "tiny.json"
    short(output)
    before = output.read_bytes()
    with pytest.raises(TrainingError, match="other settings"):
        short(output, threshold=0.5)
    assert output.read_bytes() == before
    output.write_text("{")
    with pytest.raises(TrainingError, match="no result of an ablation"):
        short(output)
