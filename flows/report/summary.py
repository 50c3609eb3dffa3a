# SPDX-License-Identifier: Apache-2.0
"""What a build leaves as figures: summary.json, and the table of nodes beside it.

A figure that was not measured is null. docs/summary.md explains every key.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """A record of exactly these fields, which does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Provenance(Strict):
    """When, from what and by what the build was made."""

    date: str
    commit: str | None
    command: str
    tools: dict[str, str]


class Checkpoint(Strict):
    """The trained network that was built."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dataset: str
    images: int | None = Field(ge=0)
    top1: float | None = Field(ge=0, le=1)


class Graph(Strict):
    """The dataflow graph after the last step."""

    nodes: int = Field(ge=0)
    hls_nodes: int = Field(ge=0)
    outside_partition: tuple[str, ...]
    joins_fused: int = Field(ge=0)
    joins_apart: int = Field(ge=0)


class Verification(Strict):
    """One comparison with the expected integers; what could not run has no mismatches but a reason."""

    stage: str
    engine: str
    images: int = Field(ge=0)
    mismatches: int | None = Field(ge=0)
    seconds: float = Field(ge=0)
    reason: str | None = None

    @model_validator(mode="after")
    def _compared_or_not(self) -> Self:
        if (self.mismatches is None) != (self.reason is not None):
            raise ValueError("a comparison has mismatches, or a reason why it could not run")
        return self


class StepResult(Strict):
    """What a step says besides the files that it leaves; each has a subclass with what it found.

    `verification` is filled in by the pipeline; `warning` is shown, and stands in the report.
    """

    verification: tuple[Verification, ...] = ()
    warning: str | None = None


class ClassAccuracy(Strict):
    """Of one class: the share of its images that are found, and of the images called so that belong to it."""

    images: int = Field(ge=0)
    recall: float | None = Field(ge=0, le=1)
    precision: float | None = Field(ge=0, le=1)


class Accuracy(Strict):
    """Of the hardware, measured on all test images; `confusion` has a row a class and a column an answer."""

    dataset: str
    images: int = Field(ge=1)
    top1: float = Field(ge=0, le=1)
    engine: str
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassAccuracy, ...]


class Expected(Strict):
    """What a folding is expected to take of the device, FIFOs included."""

    lut: int = Field(ge=0)
    bram36: int = Field(ge=0)
    dsp: int = Field(ge=0)


class Faster(Strict):
    """What more frames a second would take: nodes that are folded otherwise, and the whole design then."""

    cycles: int = Field(ge=1)
    fps: float = Field(gt=0)
    nodes: tuple[str, ...]
    expected: Expected
    more_lut: int
    fits: bool


class Folding(Strict):
    """What the folding aimed at and expected, before anything was simulated or synthesised."""

    target_cycles: int | None = Field(ge=1)
    cycles: int = Field(ge=1)
    bottleneck: str
    binds: str
    expected: Expected
    faster: tuple[Faster, ...]


class Performance(Strict):
    """Measured in the simulation of the whole design, beside what was asked for."""

    target_fps: float | None = Field(gt=0)
    reached: bool | None
    interval_cycles: int | None = Field(ge=1)
    latency_cycles: int | None = Field(ge=1)
    fps: float | None = Field(ge=0)
    bottleneck: str | None
    fifo_bits: int | None = Field(ge=0)


class NodeResources(Strict):
    """What a node takes of the device, and the levels of logic of its deepest paths: inside, through and into it."""

    lut: int | None = Field(default=None, ge=0)
    ff: int | None = Field(default=None, ge=0)
    bram36: float | None = Field(default=None, ge=0)
    dsp: int | None = Field(default=None, ge=0)
    levels: int | None = Field(default=None, ge=0)
    levels_through: int | None = Field(default=None, ge=0)
    levels_into: int | None = Field(default=None, ge=0)


class Device(Strict):
    """What the board's device has, or a part of it."""

    lut: int = Field(ge=0)
    ff: int = Field(ge=0)
    bram36: int = Field(ge=0)
    dsp: int = Field(ge=0)


COUNTED = tuple(Device.model_fields)


class ResourceUse(Strict):
    """What the design takes of the device; `kept` is for shell and DMAs."""

    tool: str | None
    lut: int | None = Field(ge=0)
    ff: int | None = Field(ge=0)
    bram36: float | None = Field(ge=0)
    dsp: int | None = Field(ge=0)
    available: Device
    kept: Device
    fits: bool | None


class Levels(Strict):
    """Logic between registers, in the netlist for the board: a LUT is a level, a carry chain two.

    `most` is that inside of a node, `over` the nodes with more than `limit`; `across` that of the deepest path through
    any nodes, from `start` to `end`.
    """

    limit: int
    most: int = Field(ge=0)
    over: tuple[str, ...]
    across: int = Field(ge=0)
    start: str
    end: str


WORST = 10
"""Paths that are listed, each into another node."""


class TimedPath(Strict):
    """The slowest path into a node of a placed and routed design, against the design's clock.

    `start` and `end` are registers, as the tool calls them. Of what is in no node, `node` and `layer` are empty.
    """

    node: str
    layer: str
    start: str
    end: str
    slack_ns: float
    delay_ns: float
    logic_ns: float
    routing_ns: float


class Routed(Strict):
    """What nextpnr reached on a stand-in for the board's chip; `parts` were routed apart, `left_out` did not fit it."""

    tool: str
    device: str
    seed: int
    fmax_mhz: float | None = Field(ge=0)
    parts: int = Field(ge=0)
    left_out: tuple[str, ...]
    paths: tuple[TimedPath, ...]


class Vivado(Strict):
    """What Vivado reports of the placed and routed design: worst slacks, and resources with the shell's among them."""

    tool: str | None
    wns_ns: float | None
    whs_ns: float | None
    wpws_ns: float | None
    met: bool | None
    lut: int | None = Field(ge=0)
    ff: int | None = Field(ge=0)
    bram36: float | None = Field(ge=0)
    dsp: int | None = Field(ge=0)
    uram: int | None = Field(ge=0)
    paths: tuple[TimedPath, ...]


class StepRecord(Strict):
    """How a step ended; `reason` says why it was skipped, or what it warns of."""

    name: str
    status: Literal["done", "cached", "skipped"]
    seconds: float = Field(ge=0)
    reason: str | None

    def __str__(self) -> str:
        return f"  {self.name:<12} {self.status:<8} {self.seconds:8.1f} s  {self.reason or ''}".rstrip()


class Summary(Strict):
    """The content of summary.json."""

    board: str
    part: str
    clock_mhz: float = Field(gt=0)
    network: str
    checkpoint: Checkpoint
    graph: Graph
    verification: tuple[Verification, ...]
    accuracy: Accuracy | None
    folding: Folding
    performance: Performance
    resources: ResourceUse
    levels: Levels | None
    vivado: Vivado | None
    routed: Routed | None
    timing: str
    steps: tuple[StepRecord, ...]
    peak_memory_mb: float | None = Field(ge=0)
    provenance: Provenance

    @property
    def mismatches(self) -> int | None:
        """All differing values of all comparisons; None where nothing was compared."""
        compared = [row.mismatches for row in self.verification if row.mismatches is not None]
        return sum(compared) if compared else None


class Fifo(Strict):
    """What a FIFO holds; `peak` are the most beats that want to wait there where frames come at the design's pace."""

    depth: int = Field(ge=1)
    width: int = Field(ge=1)
    peak: int | None = Field(ge=0)

    @property
    def bits(self) -> int:
        """All that it can hold."""
        return self.depth * self.width


class Sample(Strict):
    """A golden image as a PNG in base64, what the hardware answers, and what it is, where that is known."""

    picture: str
    answer: str
    label: str | None


class NodeRow(NodeResources):
    """A node of the dataflow graph.

    Attributes:
        name: of the node.
        op: its operator, e.g. "XnorMVAU_rtl".
        label: what the pictures call such a node, e.g. "xnor mvu".
        role: its colour there; what stores is left out of the picture of the graph.
        cycles: expected cycles of one frame.
        folding: how it is folded, e.g. "PE 4, SIMD 16".
        layer: of the network, which it belongs to.
        takes, gives: types of the elements of its streams, e.g. "INT5".
        constants: its weights or thresholds, e.g. "BINARY 144 x 16 in block RAM".
        fifo: what it holds, if it is one.
        slack_ns: of the slowest path into it, on the stand-in.
        inputs: names of the nodes that feed it; those that are not in the table are the design's inputs.
    """

    name: str
    op: str
    label: str = ""
    role: Literal["compute", "quantise", "move", "join", "store"] = "compute"
    cycles: int | None = Field(default=None, ge=0)
    folding: str = ""
    layer: str = ""
    takes: str = ""
    gives: str = ""
    constants: str = ""
    fifo: Fifo | None = None
    slack_ns: float | None = None
    inputs: tuple[str, ...] = ()
