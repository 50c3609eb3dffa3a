# SPDX-License-Identifier: Apache-2.0
"""Training recipes: YAML files that say how a network is trained."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from model.errors import RecipeError, reading
from model.networks import NETWORKS, NetworkSpec, Precision, network_spec
from model.training.restriction import THRESHOLD

RECIPE_DIR = Path(__file__).parent / "recipes"

TeacherKind = Literal["resnet34", "cifar_resnet"]
Amount = Annotated[float, Field(ge=0)]

FROM_THE_START = {"restriction_threshold", "precision"}
"""Fields with a default that every recipe is saved with; all others joined later."""


class _Part(BaseModel):
    """A part of a recipe. What joined later, and is not used, is not saved: it changes no digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: Callable[[Self], dict[str, Any]]) -> dict[str, Any]:
        fields = type(self).model_fields
        unused = {name for name, field in fields.items() if getattr(self, name) == field.default} - FROM_THE_START
        return {name: value for name, value in handler(self).items() if name not in unused}


class Adam(_Part):
    """Adam with torch's coefficients."""

    name: Literal["adam"] = "adam"


class Sgd(_Part):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    momentum: float = Field(ge=0, lt=1)


class Phase(_Part):
    """A stretch of training: crops of size x size, learning rate from lr_start to lr_end along a cosine."""

    epochs: float = Field(gt=0, allow_inf_nan=False)
    size: int = Field(gt=0, multiple_of=4)
    # erase in every n-th step; 0: never
    restriction_interval: int = Field(ge=0)
    # the paper's lambda
    restriction_threshold: Amount = THRESHOLD
    # of activations and their gradients, where the device has it; weights are always float32
    precision: Literal["float32", "bfloat16"] = "float32"
    lr_start: float = Field(gt=0)
    lr_end: Amount
    # L2 penalty on every parameter
    weight_decay: Amount = 0.0
    # of the binary convolutions; real: only activations are binary
    weights: Literal["binary", "real"] = "binary"
    # forget the moments of the phases before
    fresh_optimizer: bool = False

    def rate(self, progress: float) -> float:
        """Return the learning rate at a share 0 .. 1 of the phase."""
        return self.lr_end + (self.lr_start - self.lr_end) * (1 + math.cos(math.pi * progress)) / 2


class Recipe(_Part):
    """How a network is trained: the optimizer, random crops and flips, and phases one after the other."""

    # a network, or the family of networks NETWORK_A, NETWORK_B ...
    network: str
    # of all processes together
    batch_size: int = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    # largest shift of a whole picture, in pixels
    shift: int = Field(ge=0)
    # mirror half of the pictures
    flip: bool
    phases: tuple[Phase, ...] = Field(min_length=1)
    optimizer: Annotated[Adam | Sgd, Field(discriminator="name")] = Adam()
    # ImageNet: least share of a picture's area that a random crop shows
    smallest_crop: float = Field(default=0.08, gt=0, le=1)
    # whose answers take the place of labels
    teacher: TeacherKind | None = None
    # softens the teacher's answers and the network's (Hinton et al. 2015)
    temperature: float = Field(default=1.0, ge=1)
    # of the labels, beside the teacher's answers
    label_weight: float = Field(default=0.0, ge=0, lt=1)
    # binary convolutions take the signs of their weights centred and scaled, which weight decay then holds, not a bound
    standardized_weights: bool = False

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        restricted = any(phase.restriction_interval for phase in self.phases)
        if self.temperature != 1 and (self.teacher is None or restricted):
            raise ValueError("a temperature goes with a teacher, and without restriction")
        if self.standardized_weights and any(phase.weights == "real" for phase in self.phases):
            raise ValueError("standardized weights are signs throughout: no phase has weights: real")
        return self

    @property
    def epochs(self) -> float:
        """Passes over the training images, all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def scaled(self, epochs: float) -> "Recipe":
        """Return the recipe with its phases stretched to that many epochs together; raises RecipeError."""
        if not 0 < epochs < math.inf:
            raise RecipeError(f"the number of epochs must be positive, not {epochs:g}")
        factor = epochs / self.epochs
        phases = tuple(phase.model_copy(update={"epochs": phase.epochs * factor}) for phase in self.phases)
        return self.model_copy(update={"phases": phases})

    def resized(self, size: int, spec: NetworkSpec) -> "Recipe":
        """Return the recipe, made for pictures of `size`, with crops for a network's pictures."""
        if size == spec.size:
            return self
        step = max(4, spec.shrink)
        sizes = [
            spec.size if phase.size == size else max(step, round(phase.size * spec.size / size / step) * step)
            for phase in self.phases
        ]
        phases = tuple(phase.model_copy(update={"size": to}) for phase, to in zip(self.phases, sizes, strict=True))
        return self.model_copy(update={"phases": phases})

    def digest(self) -> str:
        """Return a digest that differs where two recipes differ."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_recipe(
    network: str | NetworkSpec, source: Path | str | None = None, precision: Precision = "hardware"
) -> Recipe:
    """Read a recipe: a file, or by its name one of those in recipes/, or by default the network's own.

    A shipped recipe is for pictures of its network's size: for others its crops are as much larger or smaller.

    That is NAME.yaml for hardware precision and NAME-paper.yaml for the paper's, each in the other's place if
    there is only one; NAME is the network's or the family's. Raises RecipeError or UnknownNetworkError.
    """
    spec = network_spec(network)
    path = _default_path(spec.name, precision) if source is None else _given_path(source)
    if source is None and not path.is_file():
        raise RecipeError(
            f"no recipe comes with {spec.name}: give one with --recipe, a file or a name such as resnet20"
        )
    with reading("recipe", path, RecipeError) as content:
        recipe = Recipe.model_validate(content)
    if spec.name in NETWORKS and recipe.network not in (spec.name, _family(spec.name)):
        raise RecipeError(f"the recipe {path} is for {recipe.network}, not for {spec.name}")
    if path.parent == RECIPE_DIR and recipe.network in NETWORKS:
        recipe = recipe.resized(NETWORKS[recipe.network].size, spec)
    for phase in recipe.phases:
        if phase.size > spec.size:
            raise RecipeError(f"the recipe {path} has crops larger than the pictures of {spec.name} ({spec.size})")
        if phase.size % spec.shrink and spec.recovery != "none":
            raise RecipeError(
                f"the recipe {path} has crops of {phase.size}, {spec.name} needs multiples of {spec.shrink}"
            )
    return recipe.model_copy(update={"network": spec.name})


def _default_path(network: str, precision: Precision) -> Path:
    endings = ("-paper", "") if precision == "paper" else ("", "-paper")
    names = [f"{name}{ending}" for ending in endings for name in (network, _family(network))]
    return next((path for name in names if (path := _shipped_path(name)).is_file()), _shipped_path(network))


def _given_path(source: Path | str) -> Path:
    is_name = Path(source).name == str(source) and _shipped_path(source).is_file()
    return _shipped_path(source) if is_name else Path(source)


def _shipped_path(name: Path | str) -> Path:
    return RECIPE_DIR / f"{name}.yaml"


def _family(network: str) -> str:
    """Return birealnet18 for birealnet18_A, resnet20 for resnet20_w32, and a name without a variant as it is."""
    head, _, variant = network.rpartition("_")
    return head if len(variant) == 1 or head in NETWORKS else network
