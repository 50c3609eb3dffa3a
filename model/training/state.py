# SPDX-License-Identifier: Apache-2.0
"""The saved state of a run: weights, the optimizer's moments, and which run and step they belong to."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from model.checkpoint import SUFFIX, replace_file
from model.errors import CheckpointError

WEIGHTS = "model."


@dataclass(frozen=True)
class State:
    """A run at a step; `run` tells runs apart."""

    run: str
    step: int
    tensors: dict[str, Tensor]

    def write(self, path: Path) -> None:
        """Write the file at once or not at all; raises CheckpointError."""
        notes = {"run": self.run, "step": str(self.step)}
        replace_file(path, save({name: tensor.contiguous() for name, tensor in self.tensors.items()}, notes))

    def weights(self) -> dict[str, Tensor]:
        """Return the network's tensors."""
        return {n.removeprefix(WEIGHTS): tensor for n, tensor in self.tensors.items() if n.startswith(WEIGHTS)}

    def moments(self, optimizer: str, names: list[str]) -> dict[int, dict[str, Tensor]]:
        """Return the optimizer's tensors by the number of the parameter, of which `names` are the names."""
        numbers = {name: number for number, name in enumerate(names)}
        found: dict[int, dict[str, Tensor]] = {}
        for key, tensor in self.tensors.items():
            match key.split(".", 2):
                case [owner, kind, name] if owner == optimizer and name in numbers:
                    found.setdefault(numbers[name], {})[kind] = tensor
        return found


def copied_tensors(network: nn.Module, optimizer: torch.optim.Optimizer, name: str) -> dict[str, Tensor]:
    """Return copies of a network's tensors and of the moments of its optimizer, which is called `name`."""
    tensors = {f"{WEIGHTS}{key}": tensor.clone() for key, tensor in network.state_dict().items()}
    for parameter_name, parameter in network.named_parameters():
        for kind, tensor in optimizer.state.get(parameter, {}).items():
            if tensor is not None:
                tensors[f"{name}.{kind}.{parameter_name}"] = tensor.clone()
    return tensors


def read_state(path: Path) -> State:
    """Read a saved state; raises CheckpointError."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = file.metadata() or {}
        return State(notes["run"], int(notes["step"]), tensors)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the saved state {path}: {error}") from error
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is no saved state of a run") from error


class RunFiles(NamedTuple):
    """Where a run that writes the checkpoint `output` keeps its files."""

    output: Path
    state: Path
    # The course of the run, as CSV, and the folder of TensorBoard's event files.
    metrics: Path
    board: Path

    @classmethod
    def beside(cls, output: Path) -> "RunFiles":
        """Return the files of a run, which lie beside its checkpoint."""
        run = output.name.removesuffix(SUFFIX)
        endings = (f"state{SUFFIX}", "metrics.csv", "tensorboard")
        return cls(output, *(output.with_name(f"{run}.{ending}") for ending in endings))
