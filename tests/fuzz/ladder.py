# SPDX-License-Identifier: Apache-2.0
"""One case up the ladder: Brevitas, QONNX, hardware nodes, cppsim, stitched rtlsim, integer for integer."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.modelwrapper import ModelWrapper

from hw import finn_env
from hw.compare import difference, first_difference
from hw.cppsim import Accelerator
from hw.cppsim.program import generate as program
from hw.ops.generation import generate
from hw.rtlsim.fifo import insert_fifos, insert_width_converters, size_fifos
from hw.rtlsim.stitch import Edge, edges, stitch
from hw.rtlsim.stitched import compile_design, simulate
from hw.transforms.convert import convert
from hw.transforms.fold import Budget, fold
from hw.transforms.fold_options import FoldingError, analyse
from hw.transforms.specialise import specialise
from hw.transforms.streamline import streamline
from hw.transforms.verify import tensors
from model.export import export
from tests.fuzz.networks import Case

PART = "xc7z020clg400-1"
CLOCK_NS = 10.0
BUDGET = Budget(lut=500_000, bram36=1000, dsp=1000)
IMAGES, FRAMES = 12, 3


class MismatchError(AssertionError):
    """Two rungs that are not equal."""


def climb(case: Case, folder: Path) -> None:
    """Take a case through all rungs, in ``folder``.

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
    model = specialise(_folded(partition, case), PART)
    sized = _with_fifos(model, case, folder)
    _check_program(sized, images, expected, folder)
    _check_rtl(sized, images[:FRAMES], expected[:FRAMES], case, folder)


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
    sites, _ = analyse(partition, PART, {})
    found = {}
    for site in sites:
        for node, option in zip(site.members, choose.choice(site.options), strict=True):
            attributes = {name: value for name, value in option.attributes.items() if isinstance(value, int)}
            attributes.pop("depth_trigger_bram", None)
            if choose.random() < 0.4 and math.prod(attributes.values()) <= 64:
                found[node.name] = attributes
    return found


def _with_fifos(model: ModelWrapper, case: Case, folder: Path) -> ModelWrapper:
    """The model with width converters, FIFOs and HDL."""
    if case.fifos == "sized":
        return size_fifos(model, PART, CLOCK_NS, folder / "sized", frames=4)
    choose = random.Random(case.seed)
    model = insert_width_converters(model, PART)
    depths = {edge.tensor: _depth(model, edge, case, choose) for edge in edges(model)}
    fifos = insert_fifos(model, {tensor: depth for tensor, depth in depths.items() if depth})
    return generate(fifos, PART, CLOCK_NS, folder / "nodes")


def _depth(model: ModelWrapper, edge: Edge, case: Case, choose: random.Random) -> int:
    """Whole frames in front of joins, so that no branch waits for another."""
    streams = [name for name in model.graph.node if edge.sink and name.name == edge.sink.node]
    inputs = [name for node in streams for name in node.input if model.get_initializer(name) is None]
    if len(inputs) > 1:
        return 2 * edge.stream.beats + 2
    return choose.choice([0, 2, 3, 9, 40]) if case.fifos == "everywhere" else 0


def _check_program(model: Any, images: NDArray[np.uint8], expected: NDArray[np.int64], folder: Path) -> None:
    program(model).write(folder / "cppsim")
    accelerator = Accelerator.load(folder / "cppsim", folder / "cache")
    for number, image in enumerate(images[:FRAMES]):
        found = first_difference(model, tensors(model, image), accelerator.tensors(image), number)
        if found is not None:
            raise MismatchError(f"cppsim differs from Python: {found}")
    _compare("cppsim", expected, accelerator.run(images))


def _check_rtl(
    model: ModelWrapper, images: NDArray[np.uint8], expected: NDArray[np.int64], case: Case, folder: Path
) -> None:
    design = stitch(model, folder / "stitched")
    stall = case.stall / 10
    with _compiled_once(design):
        result = simulate(
            design, images.transpose(0, 2, 3, 1), stall_in=stall, stall_out=stall, seed=case.seed, idle_limit=100_000,
            optimise="-O0",
        )  # fmt: skip
    _compare("stitched rtlsim", expected, result.outputs)


def _compare(stage: str, expected: NDArray[np.int64], got: NDArray[Any]) -> None:
    for number, (one, other) in enumerate(zip(expected, got, strict=True)):
        found = difference(one, other.reshape(one.shape), tensor="output", image=number)
        if found is not None:
            raise MismatchError(f"{stage} differs from Brevitas: {found}")


@contextlib.contextmanager
def _compiled_once(design: Any) -> Iterator[None]:
    """Nobody needs the library of a random network again."""
    yield
    compile_design(design, optimise="-O0").unlink(missing_ok=True)
