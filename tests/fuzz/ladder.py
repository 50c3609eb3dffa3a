# SPDX-License-Identifier: Apache-2.0
"""One case up the ladder: Brevitas, QONNX, hardware nodes, cppsim, stitched rtlsim, integer for integer."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from hw import finn_env
from hw.compare import difference, first_difference, written
from hw.cppsim import Accelerator
from hw.cppsim.program import generate_program
from hw.design.design import Design, Edge
from hw.design.fifos import Prices, insert_fifos, insert_width_converters
from hw.design.generate import generate_hdl
from hw.design.stitch import edges, stitch
from hw.rtlsim.depths import size_fifos
from hw.rtlsim.nodes import check_nodes
from hw.rtlsim.whole import simulate
from hw.transforms.convert import convert
from hw.transforms.fold import Budget, fold
from hw.transforms.fold_options import FoldingError, analyse
from hw.transforms.specialise import specialise
from hw.transforms.streamline import streamline
from hw.transforms.verify import tensors
from model.export import export
from tests.fuzz.forms import forms
from tests.fuzz.networks import Case

PART = "xc7z020clg400-1"
CLOCK_NS = 10.0
PRICES = Prices(PART, 190.0)
BUDGET = Budget(lut=500_000, bram36=1000, dsp=1000)
IMAGES, FRAMES = 12, 3


class MismatchError(AssertionError):
    """Two rungs that are not equal."""


def climb(case: Case, folder: Path) -> list[str]:
    """Take a case through all rungs, in ``folder``; returns the cells and forms that its hardware is made of.

    Raises:
        MismatchError: the first node that differs.
        Exception: whatever a step refuses.
    """
    finn_env.setup(folder / "finn")
    images = case.images(IMAGES)
    exported = export(case.network(), folder / "export", images)  # compares Brevitas and QONNX
    parent, partition = convert(streamline(ModelWrapper(str(exported.model))), case.label_select)
    if case.label_select:
        expected = exported.logits.argmax(axis=1)[:, None].astype(np.int64)
    else:
        (mul,) = parent.get_nodes_by_op_type("Mul")
        expected = (exported.logits / parent.get_initializer(mul.input[1]).item()).astype(np.int64)
    model = insert_width_converters(specialise(_folded(partition, case), PART), PART)
    sized, design = _with_fifos(model, case, folder)
    _check_program(sized, images, expected, folder)
    _check_nodes(sized, design, images[0], folder)
    _check_rtl(design, images[:FRAMES], expected[:FRAMES], case, folder)
    return forms(sized)


def _folded(partition: Any, case: Case) -> Any:
    target = 2**case.target
    forced = _forced(partition, case) if case.forced else {}
    for count in range(len(forced), 0, -1):  # not all foldings go together: as many as do
        some = dict(itertools.islice(forced.items(), count))
        with contextlib.suppress(FoldingError):
            return fold(partition, target_cycles=target, budget=BUDGET, part=PART, folding=some).model
    return fold(partition, target_cycles=target, budget=BUDGET, part=PART).model


def _forced(partition: Any, case: Case) -> dict[str, dict[str, int]]:
    """A random folding for some of the nodes."""
    choose = random.Random(case.forced * 1000 + case.seed)
    sites, *_ = analyse(partition, PART, {})
    found = {}
    for site in sites:
        for name, option in choose.choice(site).items():
            attributes = {key: value for key, value in option.attributes.items() if isinstance(value, int)}
            attributes.pop("depth_trigger_bram", None)
            if choose.random() < 0.4 and math.prod(attributes.values()) <= 64:
                found[name] = attributes
    return found


def _with_fifos(model: ModelWrapper, case: Case, folder: Path) -> tuple[ModelWrapper, Design]:
    """The model with FIFOs, and its design."""
    if case.fifos == "sized":
        sized = size_fifos(model, PRICES, CLOCK_NS, folder / "design", folder / "scratch", frames=4)
        return sized.model, sized.design
    choose = random.Random(case.seed)
    depths = {edge.tensor: _depth(model, edge, case, choose) for edge in edges(model)}
    fifos = insert_fifos(model, {tensor: depth for tensor, depth in depths.items() if depth}, PRICES)
    fifos = generate_hdl(fifos, PART, CLOCK_NS, folder / "nodes")
    return fifos, stitch(fifos, folder / "design", PART, CLOCK_NS)


def _depth(model: ModelWrapper, edge: Edge, case: Case, choose: random.Random) -> int:
    """Whole frames in front of joins, so that no branch waits for another."""
    streams = [name for name in model.graph.node if edge.sink and name.name == edge.sink.node]
    inputs = [name for node in streams for name in node.input if model.get_initializer(name) is None]
    if len(inputs) > 1:
        return 2 * edge.stream.beats + 2
    return choose.choice([0, 2, 3, 9, 40]) if case.fifos == "everywhere" else 0


def _check_program(model: Any, images: NDArray[np.uint8], expected: NDArray[np.int64], folder: Path) -> None:
    generate_program(model).write(folder / "cppsim")
    accelerator = Accelerator.load(folder / "cppsim", folder / "cache")
    for number, image in enumerate(images[:FRAMES]):
        found = first_difference(written(model), tensors(model, image), accelerator.tensors(image), number)
        if found is not None:
            raise MismatchError(f"cppsim differs from Python: {found}")
    _compare("cppsim", expected, accelerator.run(images))


def _check_nodes(model: Any, design: Design, image: NDArray[np.uint8], folder: Path) -> None:
    for result in check_nodes(design, tensors(model, image), optimise="-O0", cache_dir=folder / "cache"):
        if result.difference is not None:
            raise MismatchError(f"RTL of a node differs from Python: {result.difference}")


def _check_rtl(
    design: Design, images: NDArray[np.uint8], expected: NDArray[np.int64], case: Case, folder: Path
) -> None:
    stall = case.stall / 10
    result = simulate(
        design, images.transpose(0, 2, 3, 1), stall_in=stall, stall_out=stall, seed=case.seed, idle_limit=100_000,
        optimise="-O0", cache_dir=folder / "cache",
    )  # fmt: skip
    _compare("stitched rtlsim", expected, result.outputs)


def _compare(stage: str, expected: NDArray[np.int64], got: NDArray[Any]) -> None:
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        found = difference(one, other.reshape(one.shape), tensor="output", image=number)
        if found is not None:
            raise MismatchError(f"{stage} differs from Brevitas: {found}")
