# SPDX-License-Identifier: Apache-2.0
"""Small partitions of specialised nodes for the tests of stitching and FIFO sizing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from finn.core.onnx_exec import execute_onnx
from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from hw.design.design import Design
from hw.design.fifos import Prices, insert_fifos, insert_width_converters
from hw.design.generate import generate_hdl
from hw.design.stitch import stitch

PART = "xc7z020clg400-1"
CLOCK_NS = 10.0
PRICES = Prices(PART, 190.0)
_RTL = "finn.custom_op.fpgadataflow.rtl"
_WEIGHTS, _SUMS, _PIXELS = "INT4", "INT14", "INT4"


class Network:
    """Collects nodes of one feature-map size; every method returns the name of its output tensor."""

    def __init__(self, size: int, channels: int, seed: int = 0) -> None:
        self._size, self._channels = size, channels
        self._random = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._tensors: dict[str, tuple[list[int], str]] = {}
        self._constants: dict[str, tuple[npt.NDArray[np.float32], str]] = {}
        self.input = self._tensor("in", _PIXELS)

    def convolution(self, source: str, *, simd: int, pe: int, window_simd: int | None = None) -> str:
        """3x3, padding 1, INT4 weights, 15 thresholds: four nodes."""
        size, channels = self._size, self._channels
        padded = self._tensor(f"{source}_pad", _PIXELS, size=size + 2)
        window = self._tensor(f"{source}_win", _PIXELS, channels=9 * channels)
        sums = self._tensor(f"{source}_sum", _SUMS)
        result = self._tensor(f"{source}_act", _PIXELS)
        self._add(
            "FMPadding_rtl", [source], [padded], ImgDim=[size, size], Padding=[1, 1, 1, 1],
            NumChannels=channels, SIMD=channels, inputDataType=_PIXELS, numInputVectors=1,
        )  # fmt: skip
        self._add(
            "ConvolutionInputGenerator_rtl", [padded], [window], ConvKernelDim=[3, 3], IFMChannels=channels,
            IFMDim=[size + 2, size + 2], OFMDim=[size, size], SIMD=window_simd or simd, Stride=[1, 1],
            Dilation=[1, 1], inputDataType=_PIXELS, outputDataType=_PIXELS, depthwise=0, parallel_window=0,
            is1D=0,
        )  # fmt: skip
        weights = self._constant(f"{source}_weights", (9 * channels, channels), (-7, 8), _WEIGHTS)
        self._add(
            "MVAU_rtl", [window, weights], [sums], MW=9 * channels, MH=channels, SIMD=simd, PE=pe,
            inputDataType=_PIXELS, weightDataType=_WEIGHTS, outputDataType=_SUMS, accDataType=_SUMS, ActVal=0,
            binaryXnorMode=0, noActivation=1, numInputVectors=[1, size, size], mem_mode="internal_decoupled",
            resType="dsp",
        )  # fmt: skip
        steps = self._constant(f"{source}_steps", (channels, 15), (-400, 400), _SUMS, ascending=True)
        self._add(
            "Thresholding_rtl", [sums, steps], [result], NumChannels=channels, PE=1, numSteps=15,
            inputDataType=_SUMS, weightDataType=_SUMS, outputDataType=_PIXELS, ActVal=-8,
            numInputVectors=[1, size, size],
        )  # fmt: skip
        return result

    def fork(self, source: str, *, pe: int = 1) -> tuple[str, str]:
        """The same stream twice."""
        first, second = (self._tensor(f"{source}_{name}", _PIXELS) for name in ("a", "b"))
        self._add(
            "DuplicateStreams_rtl", [source], [first, second], NumChannels=self._channels, PE=pe,
            NumOutputStreams=2, inputDataType=_PIXELS, numInputVectors=[1, self._size, self._size],
            outFIFODepths=[2, 2],
        )  # fmt: skip
        return first, second

    def add(self, left: str, right: str, *, pe: int = 1) -> str:
        """The sum of two streams, INT5."""
        shape, _ = self._tensors[left]
        result = self._tensor(f"{left}_plus", "INT5")
        self._add(
            "StreamAdd_rtl", [left, right], [result], lhs_shape=shape, rhs_shape=shape, out_shape=shape,
            PE=pe, lhs_dtype=_PIXELS, rhs_dtype=_PIXELS, out_dtype="INT5", inFIFODepths=[2, 2],
        )  # fmt: skip
        return result

    def model(self, output: str) -> ModelWrapper:
        """The graph from "in" to `output`; its nodes execute in Python."""
        infos = {
            name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, (shape, _) in self._tensors.items()
        }
        inner = [info for name, info in infos.items() if name not in (self.input, output)]
        graph = helper.make_graph(self._nodes, "network", [infos[self.input]], [infos[output]], value_info=inner)
        model = ModelWrapper(qonnx_make_model(graph))
        for name, (value, datatype) in self._constants.items():
            model.set_initializer(name, value)
            model.set_tensor_datatype(name, DataType[datatype])
        for name, (_, datatype) in self._tensors.items():
            model.set_tensor_datatype(name, DataType[datatype])
        return model.transform(SetExecMode("cppsim"))

    def _tensor(self, name: str, datatype: str, *, size: int | None = None, channels: int | None = None) -> str:
        size = size or self._size
        self._tensors[name] = ([1, size, size, channels or self._channels], datatype)
        return name

    def _constant(
        self,
        name: str,
        shape: tuple[int, ...],
        bounds: tuple[int, int],
        datatype: str,
        *,
        ascending: bool = False,
    ) -> str:
        value = self._random.integers(*bounds, shape)
        self._constants[name] = (
            (np.sort(value, axis=-1) if ascending else value).astype(np.float32),
            datatype,
        )
        return name

    def _add(self, op_type: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        name = f"{op_type}_{sum(node.op_type == op_type for node in self._nodes)}"
        node = helper.make_node(op_type, inputs, outputs, name=name, domain=_RTL, backend="fpgadataflow", **attributes)
        self._nodes.append(node)


def chain(size: int = 6, channels: int = 4) -> ModelWrapper:
    """Two convolutions, folded differently, so that width converters are needed."""
    network = Network(size, channels)
    first = network.convolution(network.input, simd=4, pe=2)
    return network.model(network.convolution(first, simd=2, pe=4))


def residual(size: int = 6, channels: int = 4) -> ModelWrapper:
    """A convolution and a shortcut around it, added."""
    network = Network(size, channels)
    long, short = network.fork(network.input)
    return network.model(network.add(network.convolution(long, simd=4, pe=2), short))


def random_frames(model: ModelWrapper, count: int, seed: int = 1) -> npt.NDArray[np.int64]:
    """`count` frames of uniform values of the input's datatype, (count, height, width, channels)."""
    name = model.graph.input[0].name
    datatype = model.get_tensor_datatype(name)
    shape = (count, *model.get_tensor_shape(name)[1:])
    return np.random.default_rng(seed).integers(int(datatype.min()), int(datatype.max()) + 1, shape)


def expected(model: ModelWrapper, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The output of each frame by FINN's Python execution of the nodes."""
    model = ModelWrapper(model.model, make_deepcopy=True)
    model.set_metadata_prop("exec_mode", "")
    source, sink = model.graph.input[0].name, model.graph.output[0].name
    outputs = [execute_onnx(model, {source: frame[None].astype(np.float32)})[sink][0] for frame in frames]
    return np.stack(outputs).astype(np.int64)


def with_hdl(model: ModelWrapper, depths: Mapping[str, int], folder: Path) -> ModelWrapper:
    """The model with width converters, FIFOs of these depths, and HDL."""
    converted = insert_width_converters(model, PART)
    return generate_hdl(insert_fifos(converted, depths, PRICES), PART, CLOCK_NS, folder)


def designed(model: ModelWrapper, depths: Mapping[str, int], folder: Path) -> Design:
    """The design of a model with width converters and FIFOs of these depths."""
    return stitch(with_hdl(model, depths, folder / "hdl"), folder / "design", PART, CLOCK_NS)
