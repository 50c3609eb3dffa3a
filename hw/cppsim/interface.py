# SPDX-License-Identifier: Apache-2.0
"""What is known about a compiled program without FINN: its tensors' shapes, types and ranges."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.cppsim.errors import CppsimError

FILE = "interface.json"
_INTEGER = re.compile(r"(U?)INT(\d+)")


@dataclass(frozen=True)
class Type:
    """An integer datatype of the graph: its values, and the C++ and numpy types that hold one."""

    lowest: int
    highest: int
    ctype: str
    dtype: str
    bits: int
    packed: bool = False

    @staticmethod
    def of(name: str) -> Type:
        """The type that QONNX calls `name`.

        Raises:
            ValueError: it is no integer of at most 32 bits.
        """
        if name == "BINARY":
            return Type(0, 1, "std::uint8_t", "|u1", 1, packed=True)
        if name in ("BIPOLAR", "TERNARY"):
            return Type(-1, 1, "std::int8_t", "|i1", 8)
        match = _INTEGER.fullmatch(name)
        if match is None or not 1 <= int(match[2]) <= (31 if match[1] else 32):
            raise ValueError(f"{name} is no integer type of at most 31 (unsigned) or 32 (signed) bits")
        unsigned, bits = bool(match[1]), int(match[2])
        size = next(size for size in (8, 16, 32) if bits <= size)
        dtype = f"{'|' if size == 8 else '<'}{'u' if unsigned else 'i'}{size // 8}"
        lowest, highest = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return Type(lowest, highest, f"std::{'u' if unsigned else ''}int{size}_t", dtype, bits)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the graph: the node and operator that write it ("" for an input), its shape and datatype."""

    name: str
    node: str
    op: str
    shape: tuple[int, ...]
    datatype: str

    @property
    def type(self) -> Type:
        """Its elements' type."""
        return Type.of(self.datatype)


@dataclass(frozen=True)
class Interface:
    """Everything about a program but its code.

    Attributes:
        tag: digest of the code, which the constants carry as well.
        inputs, outputs: names of the tensors at the border.
        tensors: all tensors, in the order in which the program knows them.
        scale: factor from the output's integers to logits; None where the output is a label or stays as it is.
        label: the output is the index of the class.
    """

    tag: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: tuple[TensorInfo, ...]
    scale: float | None = None
    label: bool = False

    def tensor(self, name: str) -> TensorInfo:
        """A tensor by its name."""
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def save(self, folder: Path) -> None:
        """Write the file."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1))

    @staticmethod
    def load(folder: Path) -> Interface:
        """Read the file that `save` wrote.

        Raises:
            CppsimError: the folder has none, or it is damaged.
        """
        try:
            content: dict[str, Any] = json.loads((folder / FILE).read_text())
            rows = tuple(TensorInfo(**{**row, "shape": tuple(row["shape"])}) for row in content.pop("tensors"))
            inputs, outputs = tuple(content.pop("inputs")), tuple(content.pop("outputs"))
            return Interface(inputs=inputs, outputs=outputs, tensors=rows, **content)
        except FileNotFoundError as error:
            raise CppsimError(
                f"{folder} holds no compiled accelerator (no {FILE}); build with --verify cppsim"
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CppsimError(f"{folder / FILE} is damaged; build again") from error


def in_range(values: npt.NDArray[Any], kind: Type) -> npt.NDArray[Any]:
    """`values` as the program takes them.

    Raises:
        ValueError: a value is no integer or outside the datatype.
    """
    if values.size and not (values.min() >= kind.lowest and values.max() <= kind.highest):
        raise ValueError(f"values {values.min():g} .. {values.max():g} outside {kind.lowest} .. {kind.highest}")
    converted = np.ascontiguousarray(values, dtype=kind.dtype)
    if not np.issubdtype(values.dtype, np.integer) and not np.array_equal(converted, values):
        raise ValueError("values that are no integers")
    return converted
