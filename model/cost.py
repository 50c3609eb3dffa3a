# SPDX-License-Identifier: Apache-2.0
"""What the networks cost: python -m model.cost prints a table, or JSON."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, get_args

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from model.cli import run
from model.networks import NETWORKS, Network, NetworkSpec, Precision, Recovery, create_network, network_spec
from model.networks.kit import BinaryWeights
from model.networks.paper import ColumnBinaryConv2d
from model.networks.quantizers import IntegerFormat

BINARY_MACS_PER_OP = 64
"""The paper counts 64 binary operations as one: OPs = FLOPs + BOPs / 64."""

REAL_BITS = 32


@dataclass(frozen=True)
class Cost:
    """Cost of one network for one image of its size.

    MACs are multiply-accumulates, of real numbers or of signs. `ops` = real + binary MACs / 64. The fusion's
    share is what recovery adds. `full_precision_macs` is the same network without recovery and with real
    weights and activations; `ratio` says how many times the OPs that is. Sizes count the trainable parameters,
    32 bits each but for binary weights (1 bit) and, in hardware precision, the weights of integer formats.
    """

    network: str
    recovery: Recovery
    published: bool
    parameters: int
    real_macs: int
    binary_macs: int
    ops: float
    fusion_macs: int
    fusion_parameters: int
    full_precision_macs: int
    ratio: float
    paper_bits: int
    hardware_bits: int


def cost(spec: NetworkSpec, recovery: Recovery | None = None) -> Cost:
    """Count a network's parameters, operations and bits; nothing is computed."""
    kind = recovery or spec.recovery
    paper, plain = (_unfilled(spec, each, "paper") for each in (kind, "none"))
    hardware = _unfilled(spec, kind, "hardware")
    real, binary = _macs(paper)
    plain_real, plain_binary = _macs(plain)
    ops = real + binary / BINARY_MACS_PER_OP
    full = plain_real + plain_binary
    return Cost(
        network=spec.name,
        recovery=kind,
        published=kind == spec.recovery,
        parameters=_parameters(paper),
        real_macs=real,
        binary_macs=binary,
        ops=ops,
        fusion_macs=real - plain_real,
        fusion_parameters=_parameters(paper) - _parameters(plain),
        full_precision_macs=full,
        ratio=full / ops,
        paper_bits=_bits(paper),
        hardware_bits=_bits(hardware),
    )


def _unfilled(spec: NetworkSpec, recovery: Recovery, precision: Precision) -> Network:
    """Return a network whose tensors have shapes and no memory."""
    with torch.device("meta"):
        return create_network(spec, precision=precision, recovery=recovery).eval()


def _parameters(network: Network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _macs(network: Network) -> tuple[int, int]:
    """Return the real and the binary multiply-accumulates of one image."""
    totals = {False: 0, True: 0}

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear | ColumnBinaryConv2d):
            shape = module.shape if isinstance(module, ColumnBinaryConv2d) else module.weight.shape
            totals[isinstance(module, BinaryWeights)] += output.numel() * math.prod(shape[1:])

    with register_module_forward_hook(count), torch.no_grad():
        network(torch.empty(1, *network.spec.input_shape, device="meta"))
    return totals[False], totals[True]


def _bits(network: Network) -> int:
    total = 0
    for module in network.modules():
        fmt = getattr(module, "format", None)
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, BinaryWeights):
                bits = 1
            elif isinstance(fmt, IntegerFormat) and name == "weight":
                bits = fmt.bits
            else:
                bits = REAL_BITS
            total += bits * parameter.numel()
    return total


def table() -> list[Cost]:
    """Return the cost of every network with the paper's recovery, then of its other recoveries, each once."""
    rows: list[Cost] = []
    seen = {_identity(spec, spec.recovery) for spec in NETWORKS.values()}
    for spec in NETWORKS.values():
        rows.append(cost(spec))
        for recovery in get_args(Recovery):
            identity = _identity(spec, recovery)
            if identity not in seen:
                seen.add(identity)
                rows.append(cost(spec, recovery))
    return rows


def _identity(spec: NetworkSpec, recovery: Recovery) -> tuple[object, ...]:
    compact = (spec.ratio, spec.group_width) if recovery == "compact" else ()
    return spec.family, spec.size, spec.widths, spec.blocks, recovery, compact


def _text(rows: Sequence[Cost]) -> Table:
    columns = (
        "network", "recovery", "parameters", "real MACs (M)", "binary MACs (M)", "OPs (M)", "fusion MACs (M)",
        "fusion parameters", "full precision (M)", "ratio", "size, paper (kbit)", "size, hardware (kbit)",
    )  # fmt: skip
    text = Table(caption="OPs = real MACs + binary MACs / 64; ratio = full precision / OPs; * as published")
    for index, column in enumerate(columns):
        text.add_column(column, justify="left" if index < 2 else "right")
    for row in rows:
        text.add_row(
            row.network,
            row.recovery + ("*" if row.published else ""),
            f"{row.parameters:,}",
            *(f"{macs / 1e6:.2f}" for macs in (row.real_macs, row.binary_macs, row.ops, row.fusion_macs)),
            f"{row.fusion_parameters:,}",
            f"{row.full_precision_macs / 1e6:.1f}",
            f"{row.ratio:.1f}",
            *(f"{bits / 1e3:.0f}" for bits in (row.paper_bits, row.hardware_bits)),
        )
    return text


def main(
    *,
    network: Annotated[str | None, typer.Option(help="this network alone, as published")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print parameters, operations and sizes of the networks."""
    rows = table() if network is None else [cost(network_spec(network))]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        # A pipe has no width; the table is never folded.
        Console(width=None if sys.stdout.isatty() else 240, highlight=False).print(_text(rows))


if __name__ == "__main__":
    run(main)
