# SPDX-License-Identifier: Apache-2.0
"""What is known about a compiled program without FINN: its tensors' shapes, types and ranges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hw.cppsim.errors import CppsimError
from hw.streams.packing import DataType

FILE = "interface.json"


def integer_type(name: str) -> DataType:
    """The datatype that QONNX calls `name`, one that the kernels can compute with.

    Raises:
        ValueError: it is no integer of at most 31 (unsigned) or 32 (signed) bits.
    """
    kind = DataType.of(name)
    if kind.high >= 2**31:
        raise ValueError(f"{name} is no integer type of at most 31 (unsigned) or 32 (signed) bits")
    return kind


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the graph: the node and operator that write it ("" for an input), its shape and datatype."""

    name: str
    node: str
    op: str
    shape: Sequence[int]
    datatype: str

    @property
    def type(self) -> DataType:
        """Its elements' type."""
        return integer_type(self.datatype)


@dataclass(frozen=True)
class Interface:
    """Everything about a program but its code.

    Attributes:
        tag: digest of the code, which the constants carry as well.
        inputs, outputs: names of the tensors at the border.
        tensors: all tensors, in the order in which the program knows them.
        scale: factor from the output's integers to logits; None where the output is a label or stays as it is.
        offset: what is added then; both are one number, or one a class.
        label: the output is the index of the class.
    """

    tag: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    tensors: Sequence[TensorInfo]
    scale: float | Sequence[float] | None = None
    label: bool = False
    offset: float | Sequence[float] = 0.0

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
            content = json.loads((folder / FILE).read_text())
            return Interface(**content | {"tensors": [TensorInfo(**row) for row in content["tensors"]]})
        except FileNotFoundError as error:
            problem = f"{folder} holds no compiled accelerator (no {FILE}); build with --verify cppsim"
            raise CppsimError(problem) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CppsimError(f"{folder / FILE} is damaged; build again") from error
