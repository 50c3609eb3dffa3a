# SPDX-License-Identifier: Apache-2.0
"""From the real numbers of a QONNX graph to its integers: every scale, bias and batch norm ends up in thresholds.

Each tensor of the given graph is read as ``steps(scale * integers)``. Convolutions, sums and pools work on the
integers; what is done value by value waits as steps until a quantiser, which becomes thresholds: for each of its levels
the least integer at which the very operators of the given graph, in float32 as they are executed, reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import is_custom_op
from qonnx.util.basic import get_by_name, qonnx_make_model

from hw.errors import MappingError
from hw.ops.cell_op import GENERIC_DOMAIN
from hw.transforms.readings import Floats, Reading, Step, flat, least, narrowest
from hw.transforms.rewriting import TO_NCHW, TO_NHWC, new_constant, new_tensor

MOST_BITS = 10
"""Of a quantiser that becomes thresholds."""
SAME = 1e-6
"""Relative difference of scales that are the same: the float32 of one number, computed in two ways."""
MOST_TRIED = 2**20
"""Values that go through a quantiser once more when its thresholds are found."""
AFFINE = ("Mul", "Div", "Add", "Sub", "BatchNormalization")
RISING = ("Relu", "PRelu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "Elu", "Selu", "Softplus")
"""Operators on single values that never fall; a slope below zero is looked for."""


def integerise(model: Any) -> Any:
    """Rebuild a QONNX graph on integers.

    Args:
        model: cleaned up, with shapes, batch 1 and the datatype of its only input, which takes integers.

    Returns:
        A ModelWrapper of integer operators and MultiThresholds, NCHW, with a Mul and an Add, one value or one a class,
        at its end.

    Raises:
        MappingError: for a layer that has no exact integer form.
    """
    return _Integers(model).build()


class _Integers:
    """The given graph, the new one, and how the tensors of the one are read from the other's."""

    def __init__(self, source: Any) -> None:
        self.source = source
        (self.input,), (self.output,) = source.graph.input, source.graph.output
        ends = [helper.make_tensor_value_info(end.name, TensorProto.FLOAT, self.shape(end.name)) for end in
                (self.input, self.output)]  # fmt: skip
        self.model = ModelWrapper(qonnx_make_model(helper.make_graph([], "integers", ends[:1], ends[1:])))
        self.readings: dict[str, Reading] = {}
        self.pools: dict[str, tuple[Reading, int, int]] = {}
        """Of sums of windows, by name: what is pooled, the windows' extent and stride; squares only."""
        self.products: dict[str, tuple[str, int]] = {}
        """Of products, by name: their weights, and what is counted at most where these are bits, else 0."""
        self.shifted: dict[tuple[str, int], str] = {}
        """Of pools that round down, by picture's sums and shift: their result."""
        self.node = NodeProto()

    def build(self) -> Any:
        name, kind = self.input.name, self.source.get_tensor_datatype(self.input.name)
        self.model.set_tensor_datatype(name, kind)
        self.readings[name] = self._reading(self._picture(name, kind), int(kind.min()), int(kind.max()), np.ones(1))
        for node in self.source.graph.node:
            self.node = node
            if any(name in self.readings for name in node.input):
                self.readings[node.output[0]] = self._read(node)
        self._finish(self.readings[self.output.name])
        unread = [node for node in self.model.graph.node if node.op_type == "Conv" and
                  not self.model.find_consumers(node.output[0])]  # fmt: skip
        for node in unread:  # sums of windows that are rounded down
            self.model.graph.node.remove(node)
        return self.model

    def _picture(self, name: str, kind: Any) -> str:
        """The input, of which the hardware takes the channels last: one transpose stays, the other meets others."""
        shape = self.shape(name)
        if len(shape) != 4:
            return name
        batch, channels, height, width = shape
        last = self._emit("Transpose", [name], (batch, height, width, channels), kind, perm=TO_NHWC)
        return self._emit("Transpose", [last], shape, kind, perm=TO_NCHW)

    def _read(self, node: NodeProto) -> Reading:
        streams = [self.readings[name] for name in node.input if name in self.readings]
        handler = HANDLERS.get(node.op_type)
        if handler is not None and (len(streams) > 1 or node.op_type not in AFFINE):
            return handler(self, *streams)
        if node.op_type in (*AFFINE, *RISING) and len(streams) == 1:
            return self._with_step(streams[0])
        raise self.refuse(f"{node.op_type} has no hardware", "leave it out of the export")

    # What is read from the given graph

    def shape(self, tensor: str) -> tuple[int, ...]:
        return tuple(self.source.get_tensor_shape(tensor))

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of the present node."""
        found = [a for a in self.node.attribute if a.name == name]
        return helper.get_attribute_value(found[0]) if found else default

    def refuse(self, reason: str, advice: str) -> MappingError:
        """The error that names the present node's layer."""
        return MappingError(self.node.doc_string or self.node.name, reason, advice)

    def constant(self, tensor: str) -> NDArray[np.float32]:
        """The value of a tensor that does not depend on the input."""
        value = self.source.get_initializer(tensor)
        if value is None:
            node = self.source.find_producer(tensor)
            if node is None or any(name in self.readings for name in node.input):
                raise self.refuse(f"{tensor} is no constant", "use constants there")
            function: Callable[[], Any] = self.operator(
                node, {name: self.constant(name) for name in node.input if name}
            )
            value = function()
        return np.asarray(value)

    def operator(self, node: NodeProto, constants: dict[str, NDArray[Any]]) -> Callable[..., NDArray[Any]]:
        """A node as a function of its one input that is no constant, if it has one: what executes the given graph."""
        (sink, *_), streams = node.output, [name for name in node.input if name and name not in constants]
        if is_custom_op(node.domain, node.op_type):
            custom = self.source.get_customop_wrapper(node)

            def run(*values: NDArray[Any]) -> NDArray[Any]:
                context = constants | dict(zip(streams, values, strict=True))
                custom.execute_node(context, self.source.graph)
                return np.asarray(context[sink])

            return run
        alone = helper.make_graph(
            [helper.make_node(node.op_type, node.input, [sink])],
            "operator",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in streams],
            [helper.make_tensor_value_info(sink, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        alone.node[0].attribute.extend(node.attribute)
        version = helper.make_opsetid("", self.source.get_opset_imports()[""])
        model = helper.make_model(alone, opset_imports=[version], ir_version=self.source.model.ir_version)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return lambda *values: session.run(None, dict(zip(streams, values, strict=True)))[0]

    def weights(self, tensor: str, outputs: int) -> tuple[NDArray[np.float32], Floats]:
        """Integer weights, and their scale for each index along the axis ``outputs``, or one for all."""
        values = self.constant(tensor).astype(np.float64)
        node = self.source.find_producer(tensor)
        scales = np.ones(1)
        if node is not None and node.op_type in ("Quant", "IntQuant", "BipolarQuant"):
            scales = self.constant(node.input[1]).astype(np.float64)
        if scales.size > 1:
            others = tuple(axis for axis in range(values.ndim) if axis != outputs)
            scales = np.broadcast_to(scales, values.shape)
            if np.ptp(scales, axis=others).any():
                raise self.refuse("its weights have several scales for one output", "scale a tensor or each output")
            scales = scales.max(axis=others, keepdims=True)
        integers = np.rint(values / scales)
        if not np.allclose(integers * scales, values, rtol=SAME, atol=0):
            raise self.refuse("its weights are not quantised", "give the layer a weight_quant")
        return integers.astype(np.float32), scales.ravel()

    # Readings

    def _reading(self, tensor: str, low: int, high: int, scale: Floats) -> Reading:
        shape = tuple(self.model.get_tensor_shape(tensor))
        return Reading(tensor, shape, low, high, scale, scale=scale, offset=np.zeros(1))

    def _with_step(self, x: Reading) -> Reading:
        """The reading after an operator on single values."""
        node = self.node
        constants = {name: self.constant(name) for name in node.input if name and name not in self.readings}
        slopes = constants[node.input[1]] if node.op_type == "PRelu" else np.array([self.attribute("alpha", 0.01)])
        if node.op_type in ("PRelu", "LeakyRelu") and slopes.min() < 0:
            where = f"{slopes.min():g} in channel {slopes.argmin()}"
            raise self.refuse(f"its slope is negative ({where})", "keep slopes at zero or above")
        after = replace(x, steps=(*x.steps, self.operator(node, constants)), scale=None, offset=None)
        if after.values(np.zeros((1, *after.grid))).size != np.prod(after.grid):
            raise self.refuse("its constants differ from pixel to pixel", "use one a channel")
        if x.scale is None or x.offset is None:
            return after
        ends = [x.scale * end + x.offset for end in (x.low, x.high)]
        if node.op_type == "Relu" and np.min(ends) >= 0:
            return x
        if node.op_type not in AFFINE:
            return after
        slope, shift = self._line([one.astype(np.float64).ravel() for one in constants.values()])
        return replace(after, scale=x.scale * slope, offset=x.offset * slope + shift)

    def _line(self, constants: list[Floats]) -> tuple[Floats, Floats]:
        """Slope and offset of the present node, one of AFFINE."""
        one, nothing = np.ones(1), np.zeros(1)
        if self.node.op_type == "BatchNormalization":
            gamma, beta, mean, variance = constants
            slope = gamma / np.sqrt(variance + self.attribute("epsilon", 1e-5))
            return slope, beta - mean * slope
        (value,), first = constants, self.node.input[0] in self.readings
        if self.node.op_type in ("Add", "Sub"):
            return (one, value) if self.node.op_type == "Add" else (one, -value) if first else (-one, value)
        if self.node.op_type == "Div" and not first:
            raise self.refuse("it divides by its input", "leave it out of the export")
        return (value if self.node.op_type == "Mul" else one / value), nothing

    def _linear(self, x: Reading) -> float:
        """The scale of what goes into sums."""
        if x.signs and x.scale is not None:
            return float(x.scale[0]) / 2
        if x.scale is None or x.offset is None or np.any(x.offset) or np.ptp(x.scale) > SAME * np.abs(x.scale).max():
            raise self.refuse(
                "its input is not a multiple of one scale", "put a quantiser with one scale a tensor in front of it"
            )
        return float(x.scale[0])

    def _same_scale(self, streams: Sequence[Reading]) -> float:
        scales = [self._linear(x) for x in streams]
        if np.ptp(scales) > SAME * np.abs(scales).max():
            listed = " and ".join(f"{scale:.6g}" for scale in scales)
            raise self.refuse(
                f"its inputs have unequal scales: {listed}", "let one and the same quantiser, or one scale, serve them"
            )
        return scales[0]

    def _rising(self, x: Reading) -> Reading:
        """The same with a changed sign of those channels' integers that fall as the values rise.

        The weights of a product take the signs, where all that reads it is what is read here.
        """
        ends = [x.values(np.full((1, *x.grid), end, np.float64)).ravel() for end in (x.low, x.high)]
        falling = ends[1] < ends[0]
        if not falling.any():
            return x
        if falling.all():
            falling = falling[:1]
        elif x.flat:
            x = self._as_rows(x)
        signs = np.where(falling, -1.0, 1.0)
        scale = None if x.scale is None else x.scale * signs
        names = [name for name, reading in self.readings.items() if reading.tensor == x.tensor]
        if x.tensor in self.products and all(len(self.source.find_consumers(name)) == 1 for name in names):
            return replace(self._turned(x, falling), base=x.base * signs, scale=scale)
        factors = new_constant(self.model, signs.astype(np.float32).reshape(1, -1, *(1,) * (len(x.shape) - 2)),
                               DataType["BIPOLAR"])  # fmt: skip
        low, high = min(x.low, -x.high), max(x.high, -x.low)
        tensor = self._emit("Mul", [x.tensor, factors], x.shape, narrowest(low, high))
        return replace(x, tensor=tensor, low=low, high=high, base=x.base * signs, scale=scale)

    def _turned(self, x: Reading, falling: NDArray[np.bool_]) -> Reading:
        """What a product's integers, which change their sign or are what is not counted, are read as from now on."""
        weights, most = self.products[x.tensor]
        values = self.model.get_initializer(weights)
        turn = falling.reshape(-1, *(1,) * (values.ndim - 1)) if values.ndim == 4 else falling
        self.model.set_initializer(weights, np.where(turn, 1 - values if most else -values, values).astype(np.float32))
        if not most:
            low, high = min(x.low, -x.high), max(x.high, -x.low)
            self.model.set_tensor_datatype(x.tensor, narrowest(low, high))
            return replace(x, low=low, high=high)
        row = (most * falling).astype(np.float32).reshape(-1, *(1,) * (len(x.shape) - 2))
        steps: tuple[Step, ...] = (lambda values: values + row, *x.steps)
        offset = None if x.scale is None or x.offset is None else x.offset + x.scale * row.ravel()
        return replace(x, steps=steps, offset=offset)

    def _like(self, x: Reading, result: Reading) -> Reading:
        """A new reading, flat if the other is."""
        return flat(result) if x.flat else result

    def _as_rows(self, x: Reading) -> Reading:
        """A flat reading whose integers are (1, features) too."""
        if len(x.shape) == 2:
            return x
        shape = (1, int(np.prod(x.shape)))
        tensor = self._emit("Flatten", [x.tensor], shape, self.model.get_tensor_datatype(x.tensor))
        spread = np.broadcast_to(x.base[:, None], (x.shape[1], shape[1] // x.shape[1])).ravel()
        picture = x.shape[1:]
        steps = (lambda values: values.reshape(-1, *picture), *x.steps)
        return replace(x, tensor=tensor, shape=shape, base=spread, steps=steps, flat=False)

    # What is written into the new graph

    def _emit(self, op_type: str, inputs: list[str], shape: Sequence[int], kind: Any, **attributes: Any) -> str:
        """Add an operator; returns the name of its result."""
        sink = new_tensor(self.model, shape, kind)
        layer = self.node.doc_string
        self.model.graph.node.append(helper.make_node(op_type, inputs, [sink], doc_string=layer, **attributes))
        return sink

    def _finish(self, x: Reading) -> None:
        """Scale and offset, a value or one a class, give what the given graph gives."""
        x = self._rising(x)
        x = self._as_rows(x) if x.flat else x
        if x.scale is None or x.offset is None:
            raise self.refuse("the network ends in it", "leave it out of the export, or quantise what it gives")
        constants = [(one if np.ptp(one) else one.ravel()[:1]).astype(np.float32) for one in (x.scale, x.offset)]
        operators = [("Mul", constants[0])] + ([("Add", constants[1])] if constants[1].any() else [])
        tensor = x.tensor
        for op_type, values in operators:
            tensor = self._emit(op_type, [tensor, new_constant(self.model, values)], x.shape, DataType["FLOAT32"])
        self.model.graph.node[-1].output[0] = self.output.name

    def _quantise(self, x: Reading) -> Reading:
        """A quantiser: thresholds."""
        lowest, highest, scale = self._levels()
        return self._staircase(self._rising(x), lowest, highest, scale)

    def _levels(self) -> tuple[int, int, float]:
        """Lowest and highest integer of the present quantiser, and their scale."""
        names = self.node.input[1:]
        scale, *others = (self.constant(name).ravel() for name in names)
        if any(value.size > 1 for value in (scale, *others)) or scale[0] <= 0:
            raise self.refuse("its scale is not one positive number", "quantise activations with one scale a tensor")
        if self.node.op_type == "BipolarQuant":
            return -1, 1, float(scale[0])
        zero, width = (int(np.rint(value[0])) for value in others)
        if zero != others[0][0]:
            raise self.refuse(f"its zero point, {others[0][0]:g}, is no integer", "use a symmetric quantiser")
        if width > MOST_BITS:
            raise self.refuse(f"it has {width} bits", f"quantise activations to {MOST_BITS} bits at most")
        signed, narrow = self.attribute("signed", 1), self.attribute("narrow", 0)
        highest = 2 ** (width - signed) - 1 - (narrow and not signed)
        lowest = narrow - 2 ** (width - 1) if signed else 0
        return lowest - zero, highest - zero, float(scale[0])

    def _staircase(self, x: Reading, lowest: int, highest: int, scale: float) -> Reading:
        """The present node as thresholds of integers that rise with the values."""
        node, signs = self.node, self.node.op_type == "BipolarQuant"
        quantise = self.operator(node, {name: self.constant(name) for name in node.input[1:]})

        def levels(integers: NDArray[Any]) -> NDArray[np.int64]:
            values = quantise(x.values(integers)).astype(np.float64)
            return np.rint(values / scale).astype(np.int64).reshape(len(integers), -1)

        wanted = np.ones(1, np.int64) if signs else np.arange(lowest + 1, highest + 1)
        steps = least(levels, wanted, x)
        self._try_all(levels, steps, x, np.concatenate([[lowest], wanted]))
        if len(steps) > 1 and x.flat:
            x = self._as_rows(x)
        return self._thresholds(x, steps, lowest, highest, scale)

    def _try_all(self, levels: Callable[..., Any], steps: NDArray[Any], x: Reading, reached: NDArray[Any]) -> None:
        """Make sure of the thresholds, where the integers are few enough to try each."""
        every = np.arange(x.low, x.high + 1)
        if len(every) * np.prod(x.grid) <= MOST_TRIED:
            found = levels(np.broadcast_to(every.reshape(-1, *(1,) * len(x.grid)), (len(every), *x.grid)))
            expected = reached[(every[:, None, None] >= steps).sum(axis=2)]
            if not np.array_equal(np.broadcast_to(expected, found.shape), found):
                raise self.refuse("it is no staircase that rises", "put functions that rise in front of a quantiser")

    def _thresholds(self, x: Reading, steps: NDArray[Any], lowest: int, highest: int, scale: float) -> Reading:
        """Emit the node of the present quantiser, if it changes anything."""
        signs = self.node.op_type == "BipolarQuant" and self._counts_signs(self.node.output[0])
        if signs:
            lowest = 0
        elif self.node.op_type == "BipolarQuant":
            steps = np.repeat(steps, 2, axis=1)
        elif lowest == x.low and np.array_equal(steps, np.arange(x.low + 1, x.high + 1)[None]):
            return self._like(x, self._reading(x.tensor, x.low, x.high, np.array([scale])))
        kind = narrowest(lowest, highest)
        tensor = self._emit(
            "MultiThreshold",
            [x.tensor, new_constant(self.model, steps.astype(np.float32))],
            x.shape,
            kind,
            domain="qonnx.custom_op.general",
            out_dtype=kind.name,
            out_bias=float(lowest),
            data_layout="NCHW" if len(x.shape) == 4 else "NC",
        )
        result = self._reading(tensor, lowest, highest, np.array([scale]))
        return self._like(x, replace(_counted(result, 1), signs=True) if signs else result)

    def _counts_signs(self, tensor: str) -> bool:
        """Whether signs go into products with signs only; elsewhere they are integers of two bits."""
        for node in self.source.find_consumers(tensor):
            if node.op_type in ("Conv", "MatMul", "Gemm"):
                group = get_by_name(node.attribute, "group")
                grouped = group is not None and group.i > 1
                if grouped or not np.isin(self.weights(node.input[1], 0)[0], (-1, 1)).all():
                    return False
            elif node.op_type not in PASSING or not self._counts_signs(node.output[0]):
                return False
        return True

    # Operators on several values

    def _conv(self, x: Reading) -> Reading:
        node, scale = self.node, self._linear(x)
        if len(x.shape) != 4 or self.attribute("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise self.refuse("it is no convolution of pictures with numbers for its padding", "use Conv2d")
        kernels, scales = self.weights(node.input[1], 0)
        groups, pads = self.attribute("group", 1), self.attribute("pads", [0] * 4)
        kernels = _ungrouped(kernels, groups, x.shape[1])
        if any(pads) and (x.signs or not x.low <= 0 <= x.high):
            raise self.refuse(
                "it pads signs with zeros, which are no signs",
                "pad them with -1 in front of a convolution without padding, or use activations of 2 bits",
            )
        attributes = {
            "kernel_shape": list(kernels.shape[2:]),
            "strides": self.attribute("strides", [1, 1]),
            "pads": list(pads),
            "dilations": self.attribute("dilations", [1, 1]),
            "group": 1,
        }
        if any(pads):
            x = replace(x, low=min(x.low, 0), high=max(x.high, 0))
        return self._product(x, kernels, scale * scales, **attributes)

    def _product(self, x: Reading, weights: NDArray[np.float32], scales: Floats, **attributes: Any) -> Reading:
        """Emit a product with its weights, of signs the count of those that agree; a bias waits as a step."""
        node, op_type = self.node, "Conv" if attributes else "MatMul"
        inner = (1, 2, 3) if attributes else 0
        most = weights.size // weights.shape[0 if attributes else 1] if x.signs else 0
        if most:
            weights, kind, low, high = (weights > 0).astype(np.float32), DataType["BINARY"], 0, most
        else:
            ends = np.stack([weights * x.low, weights * x.high])
            low, high = int(ends.min(axis=0).sum(axis=inner).min()), int(ends.max(axis=0).sum(axis=inner).max())
            largest = max(1, int(np.abs(weights).max()))
            kind = narrowest(-largest, largest)
        constant = new_constant(self.model, np.ascontiguousarray(weights), kind)
        shape = self.shape(node.output[0])
        tensor = self._emit(op_type, [x.tensor, constant], shape, narrowest(low, high), **attributes)
        self.products[tensor] = constant, most
        result = self._reading(tensor, low, high, scales)
        if most:
            result = _counted(result, most)
        if len(node.input) < 3 or not node.input[2]:
            return result
        bias = self.constant(node.input[2]).astype(np.float32).reshape(-1, *(1,) * (len(shape) - 2))
        steps: tuple[Step, ...] = (*result.steps, lambda values: values + bias)
        return replace(result, steps=steps, offset=bias.ravel().astype(np.float64) - most * scales)

    def _dense(self, x: Reading) -> Reading:
        node, scale = self.node, self._linear(x)
        turned = bool(self.attribute("transB", 0))
        if self.attribute("transA", 0) or self.attribute("alpha", 1.0) != 1 or self.attribute("beta", 1.0) != 1:
            raise self.refuse("its Gemm scales or transposes", "use a plain dense layer")
        if len(self.shape(node.input[0])) != 2:
            raise self.refuse("its input is no vector", "flatten it to (1, features) in front of the dense layer")
        weights, scales = self.weights(node.input[1], 0 if turned else 1)
        return self._product(self._as_rows(x), weights.T if turned else weights, scale * scales)

    def _add(self, one: Reading, other: Reading) -> Reading:
        scale = self._same_scale((one, other))
        if one.shape != other.shape:
            raise self.refuse(f"it adds {one.shape} and {other.shape}", "add tensors of one shape")
        low, high = one.low + other.low, one.high + other.high
        tensor = self._emit("Add", [one.tensor, other.tensor], one.shape, narrowest(low, high))
        return self._like(one, self._reading(tensor, low, high, np.array([scale])))

    def _concat(self, *streams: Reading) -> Reading:
        scale = self._same_scale(streams)
        if self.attribute("axis", 1) % 4 != 1 or {len(x.shape) for x in streams} != {4}:
            raise self.refuse("it does not put channels beside each other", "concatenate along the channels")
        low, high = min(x.low for x in streams), max(x.high for x in streams)
        names = [x.tensor for x in streams]
        tensor = self._emit("Concat", names, self.shape(self.node.output[0]), narrowest(low, high), axis=1)
        return self._reading(tensor, low, high, np.array([scale]))

    def _pad(self, x: Reading) -> Reading:
        scale = self._linear(x)
        filled = [name for name in self.node.input[2:3] if name]
        value = float(self.constant(filled[0]).item()) / scale if filled else 0.0
        value = (value + 1) / 2 if x.signs else value
        if (
            self.attribute("mode", b"constant") != b"constant"
            or value != np.rint(value)
            or not x.low <= value <= x.high
        ):
            raise self.refuse("its padding is no value of its input", "pad with a value that the quantiser can give")
        constants = [new_constant(self.model, self.constant(self.node.input[1]).astype(np.int64))]
        constants.append(new_constant(self.model, np.float32(value).reshape(())))
        kind = self.model.get_tensor_datatype(x.tensor)
        shape = self.shape(self.node.output[0])
        tensor = self._emit("Pad", [x.tensor, *constants], shape, kind, mode="constant")
        return replace(x, tensor=tensor, shape=shape)

    def _max_pool(self, x: Reading) -> Reading:
        x = self._rising(x)
        pads = self.attribute("pads", [0] * 4)
        if self.attribute("ceil_mode", 0) or set(self.attribute("dilations", [1])) != {1}:
            raise self.refuse("its max pool is dilated or rounds its size up", "use whole windows")
        kind = self.model.get_tensor_datatype(x.tensor)
        if any(pads) and kind.bitwidth() > MOST_BITS:
            raise self.refuse("it pads sums", "quantise in front of a padded max pool")
        kernel, strides = self.attribute("kernel_shape", []), self.attribute("strides", [1, 1])
        shape = self.shape(self.node.output[0])
        attributes = {"kernel_shape": kernel, "strides": strides, "pads": list(pads)}
        return replace(x, tensor=self._emit("MaxPool", [x.tensor], shape, kind, **attributes), shape=shape)

    def _average_pool(self, x: Reading) -> Reading:
        """Sums of windows; where a rounding down to a power of two follows, one node does both."""
        scale = self._linear(x)
        whole = self.node.op_type in ("GlobalAveragePool", "ReduceMean")
        kernel = list(x.shape[2:]) if whole else self.attribute("kernel_shape", [])
        pads = [] if whole else self.attribute("pads", [])
        if any(pads) or self.attribute("ceil_mode", 0):
            raise self.refuse("its average pool is padded", "use whole windows")
        count = int(np.prod(kernel))
        scales, low, high = np.array([scale / count]), x.low * count, x.high * count
        strides, rounded = self.attribute("strides", [1, 1]), self._before_trunc()
        if whole or (tuple(kernel) == x.shape[2:] and not rounded):
            return self._global_pool(x, scales, low, high)
        ones = _ungrouped(np.ones((x.shape[1], 1, *kernel), np.float32), x.shape[1], x.shape[1])
        constant = new_constant(self.model, ones, DataType["INT2"])
        attributes = {"kernel_shape": kernel, "strides": strides, "pads": [0] * 4, "dilations": [1, 1], "group": 1}
        shape = self.shape(self.node.output[0])
        tensor = self._emit("Conv", [x.tensor, constant], shape, narrowest(low, high), **attributes)
        if len(set(kernel)) == len(set(strides)) == 1:
            self.pools[tensor] = x, int(kernel[0]), int(strides[0])
        return self._reading(tensor, low, high, scales)

    def _global_pool(self, x: Reading, scales: Floats, low: int, high: int) -> Reading:
        """FINN's node for sums of whole channels, which is channels last."""
        if self.node.op_type == "ReduceMean":
            axes = self.constant(self.node.input[1]) if len(self.node.input) > 1 else self.attribute("axes", [])
            if sorted(int(axis) % 4 for axis in axes) != [2, 3]:
                raise self.refuse("its mean is not over height and width", "average over the picture")
        batch, channels, height, width = x.shape
        kind, sums = self.model.get_tensor_datatype(x.tensor), narrowest(low, high)
        last = self._emit("Transpose", [x.tensor], (batch, height, width, channels), kind, perm=TO_NHWC)
        pooled = self._emit(
            "GlobalAccPool",
            [last],
            (batch, 1, 1, channels),
            sums,
            domain=GENERIC_DOMAIN,
            backend="fpgadataflow",
            NumChannels=channels,
            PE=1,
            inputDataType=kind.name,
            numInputVectors=[batch, height, width],
        )
        result = self._reading(
            self._emit("Transpose", [pooled], (batch, channels, 1, 1), sums, perm=TO_NCHW), low, high, scales
        )
        return flat(result) if len(self.shape(self.node.output[0])) == 2 else result

    def _before_trunc(self) -> bool:
        """Whether the present node's result is only rounded down."""
        followers = self.source.find_consumers(self.node.output[0])
        if [node.op_type for node in followers] == ["Mul"]:
            followers = self.source.find_consumers(followers[0].output[0])
        return {node.op_type for node in followers} == {"Trunc"}

    def _trunc(self, x: Reading) -> Reading:
        """An average that is rounded: a shift of sums where that is the same, thresholds elsewhere."""
        node = self.node
        scale = float(self.constant(node.input[-2 if len(node.input) > 5 else 1]).ravel()[0])
        rounded = self.operator(node, {name: self.constant(name) for name in node.input[1:]})
        sums = np.arange(x.low, x.high + 1)
        values = x.values(np.broadcast_to(sums.reshape(-1, *(1,) * len(x.grid)), (len(sums), *x.grid)))
        levels = np.rint(rounded(values).astype(np.float64) / scale).astype(np.int64).reshape(len(sums), -1)
        shifts = (shift for shift in range(32) if np.array_equal(levels[:, 0], sums >> shift))
        shift = next(shifts, None) if x.tensor in self.pools else None
        if shift is not None:
            return self._shifted_pool(x.tensor, shift, scale)
        return self._staircase(self._rising(x), int(levels.min()), int(levels.max()), scale)

    def _shifted_pool(self, sums: str, shift: int, scale: float) -> Reading:
        """Sums of windows, shifted, as one node; the same of the same sums is there once."""
        x, kernel, stride = self.pools[sums]
        kind = self.model.get_tensor_datatype(x.tensor)
        bits = ((2 ** kind.bitwidth() - 1) * kernel**2).bit_length() - shift
        if (sums, shift) not in self.shifted:
            self.shifted[sums, shift] = self._emit(
                "QuantAvgPool2d",
                [x.tensor],
                self.shape(self.node.output[0]),
                DataType[f"{'INT' if kind.signed() else 'UINT'}{bits}"],
                domain="qonnx.custom_op.general",
                stride=stride,
                kernel=kernel,
                ibits=kind.bitwidth(),
                obits=bits,
                signed=int(kind.signed()),
                data_layout="NCHW",
            )
        low, high = (end * kernel**2 >> shift for end in (x.low, x.high))
        return self._reading(self.shifted[sums, shift], low, high, np.array([scale]))

    def _flatten(self, x: Reading) -> Reading:
        before, after = self.shape(self.node.input[0]), self.shape(self.node.output[0])
        if before == after:
            return x
        if len(after) != 2 or after[0] != 1:
            raise self.refuse(f"it reshapes {before} to {after}", "flatten to (1, features), and nothing else")
        return flat(x)

    def _pass(self, x: Reading) -> Reading:
        return x


PASSING = ("MaxPool", "Reshape", "Flatten", "Pad", "Identity", "Dropout")
"""Operators that leave signs signs."""
HANDLERS: dict[str, Callable[..., Reading]] = {
    "Quant": _Integers._quantise,
    "IntQuant": _Integers._quantise,
    "BipolarQuant": _Integers._quantise,
    "Trunc": _Integers._trunc,
    "Conv": _Integers._conv,
    "MatMul": _Integers._dense,
    "Gemm": _Integers._dense,
    "Add": _Integers._add,
    "Concat": _Integers._concat,
    "Pad": _Integers._pad,
    "MaxPool": _Integers._max_pool,
    "AveragePool": _Integers._average_pool,
    "GlobalAveragePool": _Integers._average_pool,
    "ReduceMean": _Integers._average_pool,
    "Flatten": _Integers._flatten,
    "Reshape": _Integers._flatten,
    "Squeeze": _Integers._flatten,
    "Identity": _Integers._pass,
    "Dropout": _Integers._pass,
}


def _counted(x: Reading, most: int) -> Reading:
    """Counts of up to ``most`` signs that are 1, read as sums of all of them, times the scale of ``x``."""
    factors = x.base.reshape(-1, *(1,) * (len(x.shape) - 2))
    steps: tuple[Step, ...] = (lambda counts: ((2.0 * counts - most) * factors).astype(np.float32),)
    return replace(x, base=np.ones(1), steps=steps, scale=2 * x.base, offset=-most * x.base)


def _ungrouped(kernels: NDArray[np.float32], groups: int, channels: int) -> NDArray[np.float32]:
    """The kernels of a dense convolution, zero outside of the groups; hw.transforms.fuse_groups finds these again."""
    if groups == 1:
        return kernels
    outputs, members = len(kernels), channels // groups
    dense = np.zeros((outputs, channels, *kernels.shape[2:]), np.float32)
    for output, kernel in enumerate(kernels):
        first = output * groups // outputs * members
        dense[output, first : first + members] = kernel
    return dense
