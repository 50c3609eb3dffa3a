# SPDX-License-Identifier: Apache-2.0
"""Each node's RTL against its Python execution, one node at a time: which node differs, where and by what."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import finn.xsi
import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from hw.compare import Difference, difference
from hw.errors import ToolFailure
from hw.rtlsim import packing, stress, xsi
from hw.rtlsim.sim import Simulation

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class NodeResult:
    """Outcome of one node: `difference` is the first of its outputs that is wrong, `got` what came there."""

    node: str
    op: str
    cycles: int
    expected_cycles: int
    seconds: float
    difference: Difference | None = None
    got: npt.NDArray[Any] | None = None


class NodeError(ToolFailure):
    """A node that stands still or does not compile, named in the message."""


def check_nodes(
    model_file: Path,
    tensors_file: Path,
    build_dir: Path,
    *,
    workers: int = 2,
    progress: Callable[[str], None] = lambda _: None,
) -> list[NodeResult]:
    """Simulate every node of a partition on the tensors of one image.

    Args:
        model_file: specialised partition whose nodes have generated HDL.
        tensors_file: .npz of every tensor of the partition, from its Python execution.
        build_dir: FINN's build folder.
        workers: processes that compile and simulate.
        progress: called with a line after each node.

    Raises:
        NodeError: a node that stands still or does not compile.
        OSError: a file cannot be written.
    """
    names = [node.name for node in ModelWrapper(str(model_file)).graph.node]
    # spawn: a forked child would inherit torch's and numpy's threads in an unknown state
    context = multiprocessing.get_context("spawn")
    results = []
    with ProcessPoolExecutor(workers, context, _open, (model_file, tensors_file, build_dir)) as pool:
        try:
            for future in as_completed([pool.submit(_check, name) for name in names]):
                results.append(future.result())
                progress(f"{len(results)}/{len(names)} nodes")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(results, key=lambda result: names.index(result.node))


_worker: dict[str, Any] = {}


def _open(model_file: Path, tensors_file: Path, build_dir: Path) -> None:
    from hw import finn_env

    finn_env.setup(build_dir)
    xsi.install()
    _worker["model"] = ModelWrapper(str(model_file))
    with np.load(tensors_file) as tensors:
        _worker["tensors"] = dict(tensors)


def _check(name: str) -> NodeResult:
    model: ModelWrapper = _worker["model"]
    node = model.get_node_from_name(name)
    try:
        return check_node(model, node, _worker["tensors"])
    except OSError:
        raise
    except Exception as error:
        log = error.log if isinstance(error, ToolFailure) else None
        raise NodeError(f"{name} ({node.op_type}): {error}", log) from error


@contextlib.contextmanager
def _stressed() -> Iterator[None]:
    """FINN's exchange with a node's RTL, and afterwards the same again under stress."""

    def exchange(sim: Simulation, io_dict: xsi.IoDict, num_out_values: Any, sname: str = "_V", **options: Any) -> int:
        cycles = xsi.rtlsim_multi_io(sim, io_dict, num_out_values, sname, **options)
        inputs, _ = xsi.streams(sim, io_dict, num_out_values, sname)
        widths = {stream.name: stream.width_bits for stream in sim.ports}
        expected = {
            name + sname: packing.from_ints(words, widths[name + sname]) for name, words in io_dict["outputs"].items()
        }
        stress.check(sim, inputs, expected)
        return cycles

    plain = finn.xsi.__dict__["rtlsim_multi_io"]
    finn.xsi.__dict__["rtlsim_multi_io"] = exchange
    try:
        yield
    finally:
        finn.xsi.__dict__["rtlsim_multi_io"] = plain


def check_node(model: ModelWrapper, node: Any, tensors: Tensors) -> NodeResult:
    """Simulate one node on its input tensors and compare all its outputs with `tensors`, exactly.

    A node whose streams do not bear a reset in the middle of a frame, or stalls, raises one of the errors of
    hw.rtlsim.stress.check.
    """
    began = time.monotonic()
    instance = getCustomOp(node)
    instance.set_nodeattr("exec_mode", "rtlsim")
    instance.prepare_rtlsim(False)
    context: Tensors = {name: tensors[name] for name in [*node.input, *node.output] if name in tensors}
    for name in node.input:
        initializer = model.get_initializer(name)
        if initializer is not None:
            context[name] = initializer
    for name in node.output:
        context[name] = np.full_like(tensors[name], np.nan)
    with _stressed():
        instance.execute_node(context, model.graph)
    found, got = None, None
    for name in node.output:
        found = difference(tensors[name], context[name], node=node.name, op=node.op_type, tensor=name)
        if found is not None:
            got = context[name].reshape(tensors[name].shape)
            break
    return NodeResult(
        node=node.name,
        op=node.op_type,
        cycles=int(instance.get_nodeattr("cycles_rtlsim")),
        expected_cycles=int(instance.get_exp_cycles()),
        seconds=time.monotonic() - began,
        difference=found,
        got=got,
    )
