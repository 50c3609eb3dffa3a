# SPDX-License-Identifier: Apache-2.0
"""A QONNX file that somebody gives in place of a checkpoint: samples go through it, and its input becomes integers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import NodeProto, helper
from qonnx.core import onnx_exec
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import RemoveStaticGraphInputs
from qonnx.util.cleanup import cleanup_model

from model.errors import GivenModelError
from model.export import GOLDEN_FILE, INPUT_NAME, MODEL_FILE, OUTPUT_NAME, ExportedModel, layer_of

Array = npt.NDArray[Any]
PIXEL = np.float32(255)
ON_SINGLE_VALUES = ("Mul", "Div", "Add", "Sub", "Identity", "BatchNormalization")
QUANTISERS = ("Quant", "IntQuant")
LARGEST_INPUT = 8
"""Bits."""
EXPORTER = "export the network with brevitas.export.export_qonnx"
WRITER = "write them with numpy.save"


def files_of(path: Path) -> tuple[Path, ...]:
    """The file of a model and those beside it that hold its weights.

    Raises:
        GivenModelError: it cannot be read, is no ONNX file, or one of the others is not there.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise GivenModelError(f"cannot read the model {path}: {_reason(error)}") from error
    except DecodeError as error:
        raise GivenModelError(f"the model {path} is no ONNX file, or was cut; {EXPORTER}") from error
    if not model.graph.node:
        raise GivenModelError(f"the model {path} is empty; {EXPORTER}")
    external = (entry.value for tensor in model.graph.initializer for entry in tensor.external_data
                if entry.key == "location")  # fmt: skip
    files = [path.parent / name for name in dict.fromkeys(external)]
    if missing := next((file for file in files if not file.is_file()), None):
        raise GivenModelError(f"the weights of {path} are in {missing.name}, which is not beside it; copy it there too")
    return path, *files


def load_samples(path: Path) -> Array:
    """The array in an .npy file.

    Raises:
        GivenModelError: there is none, or what it holds are no samples.
    """
    try:
        samples = np.load(path, allow_pickle=False)
    except OSError as error:
        raise GivenModelError(f"cannot read the inputs {path}: {_reason(error)}") from error
    except (ValueError, EOFError) as error:
        raise GivenModelError(f"the inputs {path} are no .npy file of numbers, or cut; {WRITER}") from error
    if not isinstance(samples, np.ndarray) or samples.dtype.kind not in "biuf" or samples.ndim < 2 or not len(samples):
        raise GivenModelError(f"{path} holds no array of samples (n, ...) of numbers; {WRITER}")
    if not np.isfinite(samples).all():
        raise GivenModelError(f"{path} holds NaN or infinite values; give samples that the network can take")
    return samples


def prepare(
    model_path: Path,
    inputs: Path,
    out_dir: Path,
    *,
    compared: int,
    progress: Callable[[str], None] = lambda text: None,
) -> ExportedModel:
    """Write model.onnx, whose input takes integers, and golden.npz with the samples as these integers and their logits.

    The logits are those of the given file for the given samples, executed by qonnx. Nodes of model.onnx say in
    doc_string which layer they are of.

    Raises:
        GivenModelError: the model has no single input and vector as output, the samples do not fit it, or are neither
            integers of 8 bits nor made into such by the model.
    """
    model = _load(model_path)
    samples = load_samples(inputs)
    shape = tuple(model.get_tensor_shape(INPUT_NAME))
    if samples.shape[1:] != shape[1:]:
        wanted = ", ".join(map(str, ("n", *shape[1:])))
        raise GivenModelError(f"{inputs} has the shape {samples.shape}, and {model_path.name} takes ({wanted})")
    logits = _run(model, samples.astype(np.float32), lambda n: progress(f"qonnx: {n}/{len(samples)} samples"))
    images = _take_integers(model, samples)
    found = _run(model, images[:compared].astype(np.float32))
    if not np.array_equal(found, logits[:compared]):
        raise GivenModelError(f"{model_path.name} gives something else for its samples as integers: {inputs}")
    model.save(str(out_dir / MODEL_FILE))
    golden = out_dir / GOLDEN_FILE
    np.savez(golden, images=images, logits=logits, classes=np.array([], dtype=str))
    return ExportedModel(out_dir / MODEL_FILE, golden, logits)


def _load(path: Path) -> ModelWrapper:
    """The given graph, cleaned up, batch 1, its ends called as those of our own export, its nodes with their layer."""
    try:
        proto = onnx.load(str(path))
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise GivenModelError(f"cannot read the model {path}: {_reason(error)}") from error
    for node in proto.graph.node:
        node.doc_string = _layer(node)
        del node.metadata_props[:]
    model = ModelWrapper(proto).transform(RemoveStaticGraphInputs())
    _drop_constant_outputs(model)
    inputs, outputs = [end.name for end in model.graph.input], [end.name for end in model.graph.output]
    if len(inputs) != 1 or len(outputs) != 1:
        raise GivenModelError(f"{path.name} has the inputs {inputs} and outputs {outputs}; it may have one of each")
    if not {node.op_type for node in model.graph.node} & {*QUANTISERS, "BipolarQuant"}:
        raise GivenModelError(f"{path.name} has no quantisers of QONNX; {EXPORTER}")
    _name_inputs_once(model)
    try:
        model = cleanup_model(model, override_inpsize=1)
    except Exception as error:
        raise GivenModelError(f"{path.name} is no graph that qonnx can infer: {_reason(error)}") from error
    shape = model.get_tensor_shape(model.graph.output[0].name)
    if shape is None or len(shape) != 2:
        raise GivenModelError(f"the output of {path.name} has the shape {shape}; let it be (1, classes)")
    model.rename_tensor(model.graph.input[0].name, INPUT_NAME)
    model.rename_tensor(model.graph.output[0].name, OUTPUT_NAME)
    return model


def _drop_constant_outputs(model: ModelWrapper) -> None:
    """Leave out what a QuantTensor brings along: its scale, zero point and bit width."""
    depend = {end.name for end in model.graph.input}
    for node in model.graph.node:
        if depend & set(node.input):
            depend |= set(node.output)
    for end in [end for end in model.graph.output if end.name not in depend]:
        model.graph.output.remove(end)


def _name_inputs_once(model: ModelWrapper) -> None:
    """Let x + x be 2 x: qonnx's clean-up renames only one of a node's inputs that are the same, and loses the other."""
    made = {name for node in model.graph.node if node.op_type != "Constant" for name in node.output}
    for node in model.graph.node:
        taken = [name for name in node.input if name in made]
        if len(set(taken)) == len(taken):
            continue
        if node.op_type != "Add":
            raise GivenModelError(f"{node.doc_string}: {node.op_type} takes one tensor twice, which has no hardware")
        node.op_type, node.input[1] = "Mul", model.make_new_valueinfo_name()
        model.set_initializer(node.input[1], np.array(2, np.float32))


def _layer(node: NodeProto) -> str:
    """The module that a node was exported from: torch's two exporters say it in two ways."""
    scopes = next((note.value for note in node.metadata_props if note.key == "pkg.torch.onnx.name_scopes"), "")
    modules = [name for name in re.findall(r"'([^']*)'", scopes)[:-1] if name]  # the last one is the operator
    of_quantiser = (name.partition("_quant")[0].rpartition(".")[0] for name in modules if "_quant" in name)
    layer: str = next(of_quantiser, modules[-1]) if modules else layer_of(node.name)
    return layer or node.name or node.output[0]


def _run(model: ModelWrapper, samples: Array, progress: Callable[[int], None] = lambda done: None) -> Array:
    """What the graph gives for each sample, (n, classes)."""
    model = model.transform(FoldConstants(exclude_op_types=[]))  # weights are quantised once
    results: list[Array] = []
    with _sessions_without_threads():
        for sample in samples:
            progress(len(results))
            results.append(execute_onnx(model, {INPUT_NAME: sample[None]})[OUTPUT_NAME][0])
    return np.stack(results).astype(np.float32)


@contextlib.contextmanager
def _sessions_without_threads() -> Iterator[None]:
    """Keep onnxruntime to one thread: qonnx makes a session for each node of each sample, and threads for these would
    be waited for longer than they work, twenty times as long on a busy machine.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    onnx_exec.rt = SimpleNamespace(InferenceSession=partial(onnxruntime.InferenceSession, sess_options=options))
    try:
        yield
    finally:
        onnx_exec.rt = onnxruntime


@dataclass(frozen=True)
class _Form:
    """How samples are integers: the operator in front of the graph that gives their values back, if one is needed."""

    integers: Array
    operator: str | None = None
    constant: np.float32 = PIXEL


def _take_integers(model: ModelWrapper, samples: Array) -> Array:
    """Let the graph take integers, and return the samples as these."""
    bounds = np.iinfo(np.int8).min, np.iinfo(np.uint8).max
    if np.array_equal(samples, np.rint(samples)) and bounds[0] <= samples.min() <= samples.max() <= bounds[1]:
        form = _Form(samples)
    else:
        form = _pixels(samples.astype(np.float32)) or _quantised(model, samples)
    integers, low, high = form.integers, int(form.integers.min()), int(form.integers.max())
    kind = DataType["UINT8"] if low >= 0 else DataType.get_smallest_possible(min(low, -high - 1))
    if low < 0 and np.isin(integers, (-1, 1)).all():
        kind, form = DataType["INT2"], _Form(integers, "BipolarQuant", np.float32(1))
    if max(high.bit_length(), kind.bitwidth()) > LARGEST_INPUT:
        raise GivenModelError(
            f"the samples are integers from {low} to {high}, and the accelerator takes {LARGEST_INPUT} bits; let a "
            f"QuantIdentity(bit_width={LARGEST_INPUT}) in front of the network quantise them"
        )
    if form.operator:
        _put_in_front(model, form)
    model.set_tensor_datatype(INPUT_NAME, kind)
    return integers.astype(np.uint8 if low >= 0 else np.int8)


def _pixels(samples: Array) -> _Form | None:
    """Samples of 0 .. 1 that are pixels of 8 bits, divided by 255."""
    pixels = np.clip(np.rint(samples * PIXEL), 0, 255).astype(np.float32)
    if np.array_equal(pixels / PIXEL, samples):
        return _Form(pixels, "Div", PIXEL)
    return _Form(pixels, "Mul", 1 / PIXEL) if np.array_equal(pixels * (1 / PIXEL), samples) else None


def _quantised(model: ModelWrapper, samples: Array) -> _Form:
    """The integers of the model's own first quantiser, which is taken out of the graph."""
    name = INPUT_NAME
    while len(model.find_consumers(name)) == 1 and model.find_consumer(name).op_type in ON_SINGLE_VALUES:
        name = model.find_consumer(name).output[0]
    nodes = model.find_consumers(name)
    scale = model.get_initializer(nodes[0].input[1]) if len(nodes) == 1 and nodes[0].op_type in QUANTISERS else None
    if scale is None or scale.size != 1:
        raise GivenModelError(
            f"the samples, {samples.min():g} to {samples.max():g}, are neither integers of 8 bits nor pixels / 255, "
            "and the network does not quantise its input with one scale; give it such samples, or put a QuantIdentity "
            "in front of the network"
        )
    quantised = nodes[0].output[0]
    runs = (
        execute_onnx(model, {INPUT_NAME: sample[None].astype(np.float32)}, return_full_exec_context=True)
        for sample in samples
    )
    values = np.concatenate([run[quantised] for run in runs])
    for reader in model.find_consumers(quantised):
        reader.input[:] = [INPUT_NAME if name == quantised else name for name in reader.input]
    while (node := model.find_producer(quantised)) is not None:
        quantised = node.input[0]
        model.graph.node.remove(node)
    return _Form(np.rint(values / scale), "Mul", np.float32(scale.item()))


def _put_in_front(model: ModelWrapper, form: _Form) -> None:
    """An operator with a constant between the input and all that reads it."""
    first, factor = "values_of_input", "constant_of_input"
    for node in model.find_consumers(INPUT_NAME):
        node.input[:] = [first if name == INPUT_NAME else name for name in node.input]
    domain = "qonnx.custom_op.general" if form.operator == "BipolarQuant" else ""
    node = helper.make_node(form.operator, [INPUT_NAME, factor], [first], domain=domain, doc_string="input")
    model.graph.node.insert(0, node)
    model.set_initializer(factor, np.asarray(form.constant))
    model.set_tensor_shape(first, model.get_tensor_shape(INPUT_NAME))


def _reason(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or " ".join(str(error).split())[:200] or type(error).__name__
