# SPDX-License-Identifier: Apache-2.0
"""The cost table against the figures that the paper's published code and its shapes give."""

import json
import re

import pytest

from model import cost as cost_module
from model.cli import run
from model.cost import cost, table
from model.networks import NETWORKS, network_spec

# Variant: recovery and its MACs, in millions.
FUSION = {"A": ("full", 25.69), "B": ("compact", 12.96), "C": ("compact", 9.13), "D": ("compact", 1.52)}


@pytest.mark.parametrize("variant", FUSION)
def test_imagenet_rows(variant: str) -> None:
    recovery, fusion = FUSION[variant]
    row = cost(network_spec(f"birealnet18_{variant}"))
    assert row.recovery == recovery
    assert round(row.fusion_macs / 1e6, 2) == fusion
    assert round((row.real_macs - row.fusion_macs) / 1e6, 1) == 137.8
    assert round(row.ops / 1e6 - fusion, 1) == 164.0
    assert round(row.full_precision_macs / 1e6) == 1814
    assert row.ratio == row.full_precision_macs / row.ops
    assert row.ops == row.real_macs + row.binary_macs / 64


def test_without_fusion() -> None:
    row = cost(network_spec("birealnet18_B"), "none")
    assert (round(row.real_macs / 1e6, 1), round(row.ops / 1e6, 1)) == (137.8, 164.0)
    assert (row.fusion_macs, row.fusion_parameters) == (0, 0)


def test_resnet20_by_hand() -> None:
    """Stem 3 -> 16 at 32x32, recovery 128 -> 16 and 48 single-channel 3x3 at 8x8, classifier 64 -> 10."""
    row = cost(network_spec("resnet20"))
    fusion = 128 * 16 * 64 + 48 * 9 * 64
    assert row.fusion_macs == fusion
    assert row.real_macs == 27 * 16 * 1024 + fusion + 640
    stages = 6 * 16 * 16 * 1024 + (16 * 32 + 5 * 32 * 32) * 256 + (32 * 64 + 5 * 64 * 64) * 64
    assert row.binary_macs == 9 * stages
    binary = 9 * (6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    assert row.paper_bits == binary + 32 * (row.parameters - binary)
    stem, fused, classifier = 27 * 16, 128 * 16 + 48 * 9, 640
    others = row.parameters - 10 - binary - stem - fused - classifier
    assert row.hardware_bits == binary + 8 * (stem + classifier) + 4 * fused + 32 * others


def test_table_has_every_network_and_recovery_once() -> None:
    rows = table()
    assert [row.network for row in rows if row.published] == list(NETWORKS)
    assert len({(row.parameters, row.real_macs, row.binary_macs) for row in rows}) == len(rows)
    for name in ("tiny", "resnet20", "resnet18", "vgg_small"):
        assert {row.recovery for row in rows if row.network == name} == {"compact", "full", "none"}


def test_text_and_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["cost", *arguments])
        with pytest.raises(SystemExit) as stop:
            run(cost_module.main)
        assert not stop.value.code
        return capsys.readouterr().out

    rows = json.loads(printed("--json"))
    assert len(rows) == len(table())
    text = printed()
    for row in rows:
        assert re.search(
            rf"{row['network']} .*{row['parameters']:,} .*{row['ops'] / 1e6:.2f} .*{row['ratio']:.1f}", text
        )
    (single,) = json.loads(printed("--json", "--network", "vgg_small"))
    assert single["parameters"] == 4_675_834
