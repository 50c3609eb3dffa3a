# SPDX-License-Identifier: Apache-2.0
"""The keys of summary.json, and that docs/summary.md explains exactly these."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from flows.report.summary import Summary

DOC = Path(__file__).parents[3] / "docs" / "summary.md"

ISSUE = {  # the keys that were asked for, written down apart from the model
    "board", "part", "clock_mhz", "network", "checkpoint", "checkpoint.sha256", "checkpoint.dataset",
    "checkpoint.images", "checkpoint.top1", "graph", "graph.nodes", "graph.hls_nodes",
    "graph.outside_partition", "graph.joins_fused", "graph.joins_apart",
    "verification", "verification[].stage", "verification[].engine",
    "verification[].images", "verification[].mismatches", "verification[].seconds", "verification[].reason",
    "accuracy", "accuracy.dataset", "accuracy.images", "accuracy.top1", "accuracy.engine", "accuracy.confusion",
    "accuracy.classes", "accuracy.classes[].images", "accuracy.classes[].recall", "accuracy.classes[].precision",
    "performance", "performance.target_fps", "performance.reached", "provenance", "provenance.date",
    "provenance.commit", "provenance.command", "provenance.tools",
    "performance.interval_cycles", "performance.latency_cycles", "performance.fps", "performance.bottleneck",
    "performance.fifo_bits", "resources", "resources.tool", "resources.lut", "resources.ff", "resources.bram36",
    "resources.dsp", "resources.available", "resources.kept", "resources.fits", "steps", "steps[].name",
    "steps[].status", "steps[].seconds", "steps[].reason", "peak_memory_mb", "vivado", "vivado.tool",
    "vivado.wns_ns", "vivado.whs_ns", "levels", "levels.limit", "levels.most", "levels.over", "levels.across",
    "levels.start", "levels.end",
    "routed", "routed.tool", "routed.device", "routed.seed", "routed.fmax_mhz", "routed.parts", "routed.left_out",
    "timing", "vivado.wpws_ns", "vivado.met", "vivado.lut", "vivado.ff", "vivado.bram36", "vivado.dsp", "vivado.uram",
}  # fmt: skip
FOLDING = {
    "folding", "folding.target_cycles", "folding.cycles", "folding.bottleneck", "folding.binds", "folding.expected",
    "folding.faster", "folding.faster[].cycles", "folding.faster[].fps", "folding.faster[].nodes",
    "folding.faster[].expected", "folding.faster[].more_lut", "folding.faster[].fits",
    "folding.expected.lut", "folding.expected.bram36", "folding.expected.dsp", "folding.faster[].expected.lut",
    "folding.faster[].expected.bram36", "folding.faster[].expected.dsp",
}  # fmt: skip
PATHS = {
    f"{tool}.paths{key}"
    for tool in ("vivado", "routed")
    for key in (
        "",
        *(f"[].{name}" for name in ("node", "layer", "start", "end")),
        *(f"[].{name}_ns" for name in ("slack", "delay", "logic", "routing")),
    )
}
AVAILABLE = {f"resources.{of}.{name}" for of in ("available", "kept") for name in ("lut", "ff", "bram36", "dsp")}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        annotation: Any = field.annotation
        inner = getattr(annotation, "__args__", (None,))[0]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from keys(annotation, f"{prefix}{name}.")
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            many = getattr(annotation, "__origin__", None) is tuple
            yield from keys(inner, f"{prefix}{name}{'[]' if many else ''}.")


def test_exactly_the_keys_that_were_asked_for() -> None:
    assert set(keys(Summary)) == ISSUE | FOLDING | PATHS | AVAILABLE


def test_every_key_is_documented_once_and_no_other() -> None:
    documented = re.findall(r"^\| `([^`]+)` \|", DOC.read_text(), flags=re.MULTILINE)
    assert documented == list(keys(Summary))


def test_null_is_documented_where_the_model_allows_it() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", DOC.read_text(), flags=re.MULTILINE))
    nullable = {key for key, kind in rows.items() if "null" in kind}
    schema = Summary.model_json_schema()

    def walk(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        for name, entry in node.get("properties", {}).items():
            if any(choice.get("type") == "null" for choice in entry.get("anyOf", [])):
                yield prefix + name
            for choice in [entry, *entry.get("anyOf", [])]:
                yield from walk(choice, f"{prefix}{name}.")
            yield from walk(entry.get("items", {}), f"{prefix}{name}[].")

    assert nullable == set(walk(schema))


def test_round_trip(summary: Summary) -> None:
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
    assert set(json.loads(summary.model_dump_json())) == {key for key in ISSUE | FOLDING if "." not in key}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("colour",), "red"),
        (("checkpoint", "epochs"), 3),
        (("checkpoint", "sha256"), "abc"),
        (("checkpoint", "top1"), 77.1),
        (("performance", "interval_cycles"), 0),
        (("performance", "fps"), float("nan")),
        (("graph", "nodes"), -1),
        (("resources", "available", "uram"), 0),
        (("steps", 0, "status"), "passed"),
        (("verification", 0, "mismatches"), None),
    ],
)
def test_what_a_summary_refuses(summary: Summary, path: tuple[str | int, ...], value: object) -> None:
    data = summary.model_dump(mode="json")
    inner: Any = data
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(ValidationError):
        Summary.model_validate(data)


def test_a_missing_key_is_refused(summary: Summary) -> None:
    data = summary.model_dump(mode="json")
    del data["performance"]["fps"]
    with pytest.raises(ValidationError, match="fps"):
        Summary.model_validate(data)


def test_mismatches_are_added_up(summary: Summary) -> None:
    assert summary.mismatches == 2
    assert summary.model_copy(update={"verification": ()}).mismatches is None
