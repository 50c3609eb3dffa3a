# SPDX-License-Identifier: Apache-2.0
"""The speed measurement runs, and its yardstick is ResNet-20."""

import json
from pathlib import Path

from model.bench import main
from model.training.teachers import CifarResNet


def test_yardstick_is_resnet20() -> None:
    # Published: 0.27 M parameters; exactly so many without weights in the shortcuts.
    assert sum(p.numel() for p in CifarResNet(3).parameters()) == 269_722


def test_every_step_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "new" / "train.json"
    main(output=output, batch=2, size=32, rounds=1, threads=1)
    found = json.loads(output.read_text())
    restricted, compiled = {"hardware, restriction", "paper, restriction"}, {"hardware, compiled"}
    plain = {"float32", "hardware", "paper", "hardware in Brevitas"}
    assert set(found["steps"]) == plain | restricted | compiled
    for row in found["steps"].values():
        assert row["images_per_second"] > 0
        assert row["times_float32"] == row["seconds"] / found["steps"]["float32"]["seconds"]
        assert row["profile_ms"]["convolution"] > 0
        assert row["profile_ms"]["calls"] > 100
    assert {name for name, row in found["steps"].items() if "compiled" in row["profile_ms"]} == compiled
