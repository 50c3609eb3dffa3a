# SPDX-License-Identifier: Apache-2.0
"""Training recipes: YAML files that say how a network is trained, and the schedule that follows from one."""

import hashlib
import math
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import RecipeError
from model.networks import network_spec

RECIPE_DIR = Path(__file__).parent / "recipes"


class Phase(BaseModel):
    """A stretch of training: crops of size x size, learning rate on a cosine from lr_start to lr_end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(gt=0)
    size: int = Field(gt=0, multiple_of=4)
    restriction_interval: int = Field(ge=0, description="erase in every n-th step; 0: never")
    restriction_threshold: float = Field(default=0.15, ge=0, description="the paper's lambda")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of activations and their gradients; weights are always float32"
    )
    lr_start: float = Field(gt=0)
    lr_end: float = Field(gt=0)


class Recipe(BaseModel):
    """How a network is trained: Adam, random shifts and flips, and phases one after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    batch_size: int = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    shift: int = Field(ge=0, description="largest shift of a whole picture, in pixels")
    flip: bool = Field(description="mirror half of the pictures")
    phases: tuple[Phase, ...] = Field(min_length=1)

    @property
    def epochs(self) -> float:
        """Passes over the training images, all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def scaled(self, epochs: float) -> "Recipe":
        """Return the recipe with its phases stretched to that many epochs together."""
        if not epochs > 0:
            raise RecipeError(f"the number of epochs must be positive, not {epochs:g}")
        factor = epochs / self.epochs
        phases = tuple(phase.model_copy(update={"epochs": phase.epochs * factor}) for phase in self.phases)
        return self.model_copy(update={"phases": phases})

    def digest(self) -> str:
        """Return a digest that differs where two recipes differ."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_recipe(network: str, path: Path | None = None) -> Recipe:
    """Read a recipe, by default the network's own; raises RecipeError or UnknownNetworkError."""
    spec = network_spec(network)
    source = RECIPE_DIR / f"{spec.name}.yaml" if path is None else path
    try:
        recipe = Recipe.model_validate(yaml.safe_load(source.read_text()))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {source}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe {source} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise RecipeError(f"the recipe {source} is wrong: {where}: {first['msg']}") from error
    if recipe.network != spec.name:
        raise RecipeError(f"the recipe {source} is for {recipe.network}, not for {spec.name}")
    if any(phase.size > spec.size for phase in recipe.phases):
        raise RecipeError(f"the recipe {source} has crops larger than the pictures of {spec.name} ({spec.size})")
    return recipe


@dataclass(frozen=True)
class Position:
    """Where a step is: its phase, and the learning rate."""

    phase: Phase
    learning_rate: float


class Schedule:
    """Maps every step of a run to its phase and learning rate."""

    def __init__(self, recipe: Recipe, images: int) -> None:
        if images < recipe.batch_size:
            raise RecipeError(f"{images} images do not fill a batch of {recipe.batch_size}")
        self.recipe = recipe
        self.steps_per_epoch = images // recipe.batch_size
        ends = accumulate(phase.epochs for phase in recipe.phases)
        self._ends = [round(end * self.steps_per_epoch) for end in ends]
        if self.steps == 0:
            raise RecipeError(f"{recipe.epochs:g} epochs of {self.steps_per_epoch} steps are no step at all")

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self._ends[-1]

    def at(self, step: int) -> Position:
        """Return phase and learning rate of a step, 0 <= step < steps."""
        index = next(i for i, end in enumerate(self._ends) if step < end)
        phase = self.recipe.phases[index]
        start = self._ends[index - 1] if index else 0
        progress = (step - start) / (self._ends[index] - start)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        rate = phase.lr_end + (phase.lr_start - phase.lr_end) * cosine
        warmup = min(1.0, (step + 1) / self.recipe.warmup_steps) if self.recipe.warmup_steps else 1.0
        return Position(phase, rate * warmup)
