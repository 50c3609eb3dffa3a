# SPDX-License-Identifier: Apache-2.0
"""Training recipes: YAML files that say how a network is trained, and the schedule that follows from one."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from model.errors import RecipeError
from model.kit import Precision
from model.networks import network_spec

RECIPE_DIR = Path(__file__).parent / "recipes"


class _Part(BaseModel):
    """A part of a recipe. Fields that joined later do not change the digest of recipes that do not use them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    joined_later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = {name for name in self.joined_later if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in handler(self).items() if name not in unused}


class Adam(_Part):
    """Adam with torch's coefficients."""

    name: Literal["adam"] = "adam"


class Sgd(_Part):
    """Stochastic gradient descent."""

    name: Literal["sgd"]
    momentum: float = Field(ge=0, lt=1)


class Phase(_Part):
    """A stretch of training: crops of size x size, learning rate from lr_start to lr_end."""

    joined_later = frozenset({"shift", "decay", "weight_decay", "weights", "fresh_optimizer", "varied"})

    epochs: float = Field(gt=0, description=".inf: until the run is stopped; only for a last phase of one rate")
    size: int = Field(gt=0, multiple_of=4)
    shift: int | None = Field(default=None, ge=0, description="in place of the recipe's")
    varied: bool = Field(default=False, description="views of images in memory are zoomed, turned and coloured as well")
    restriction_interval: int = Field(ge=0, description="erase in every n-th step; 0: never")
    restriction_threshold: float = Field(default=0.15, ge=0, description="the paper's lambda")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of activations and their gradients, where the device has it; weights are always float32",
    )
    lr_start: float = Field(gt=0)
    lr_end: float = Field(ge=0)
    decay: Literal["cosine", "linear"] = Field(default="cosine", description="how lr_start becomes lr_end")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty on every parameter")
    weights: Literal["binary", "real"] = Field(
        default="binary", description="of the binary convolutions; real: only activations are binary"
    )
    fresh_optimizer: bool = Field(default=False, description="forget the moments of the phases before")

    @property
    def is_open(self) -> bool:
        """True when the phase goes on until the run is stopped."""
        return math.isinf(self.epochs)

    def rate(self, progress: float) -> float:
        """Return the learning rate at a share 0 .. 1 of the phase."""
        rest = (1 + math.cos(math.pi * progress)) / 2 if self.decay == "cosine" else 1 - progress
        return self.lr_end + (self.lr_start - self.lr_end) * rest


class Recipe(_Part):
    """How a network is trained: the optimizer, random crops and flips, and phases one after the other."""

    joined_later = frozenset(
        {"optimizer", "smallest_crop", "teacher", "teacher_sees", "outsiders", "truth", "leak", "release"}
    )

    network: str = Field(description="a network, or the family of networks NETWORK_A, NETWORK_B ...")
    batch_size: int = Field(gt=0, description="of all processes together")
    warmup_steps: int = Field(ge=0)
    shift: int = Field(ge=0, description="largest shift of a whole picture, in pixels")
    flip: bool = Field(description="mirror half of the pictures")
    phases: tuple[Phase, ...] = Field(min_length=1)
    optimizer: Annotated[Adam | Sgd, Field(discriminator="name")] = Adam()
    smallest_crop: float = Field(
        default=0.08, gt=0, le=1, description="ImageNet: least share of a picture's area that a random crop shows"
    )
    teacher: Literal["resnet34", "real"] | None = Field(
        default=None, description="whose answers take the place of labels; real: a checkpoint of real precision"
    )
    teacher_sees: Literal["views", "images"] = Field(
        default="views", description="the views that the network sees; or each image of the data set once, and mirrored"
    )
    outsiders: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="weight, among the answers to an image, of teachers that were trained without it (--leave-out)",
    )
    truth: float = Field(default=0.0, ge=0, lt=1, description="weight of the labels beside the teacher's answers")
    leak: float = Field(
        default=0.0, ge=0, lt=1, description="share of the gradient that passes where hardware clips its residuals"
    )
    release: tuple[Phase, ...] = Field(default=(), description="the branch that --release trains from a saved state")

    @model_validator(mode="after")
    def _outsiders_see_images(self) -> Self:
        if self.outsiders and self.teacher_sees != "images":
            raise ValueError("outsiders are asked about images, not views: they take teacher_sees: images")
        return self

    @model_validator(mode="after")
    def _open_phases_come_last(self) -> Self:
        if any(phase.is_open for phase in (*self.phases[:-1], *self.release)):
            raise ValueError("only the last of the phases may have epochs: .inf")
        if self.is_open and self.phases[-1].lr_start != self.phases[-1].lr_end:
            raise ValueError("a phase without an end has one learning rate: lr_start = lr_end")
        return self

    @property
    def epochs(self) -> float:
        """Passes over the training images, all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def is_open(self) -> bool:
        """True when the recipe has no end; its results are taken by --release."""
        return self.phases[-1].is_open

    def scaled(self, epochs: float) -> "Recipe":
        """Return the recipe with its phases stretched to that many epochs together."""
        if self.is_open:
            raise RecipeError("a recipe without an end has no length to stretch: leave --epochs out, or use --release")
        return self.model_copy(update={"phases": _stretched(self.phases, epochs)})

    def released(self, epochs: float) -> "Recipe":
        """Return the branch of that many epochs that makes a release out of a saved state."""
        if not self.release:
            raise RecipeError("the recipe has no phases of a release")
        phases = _stretched(self.release, epochs)
        return self.model_copy(update={"phases": phases, "release": (), "warmup_steps": 0})

    def digest(self) -> str:
        """Return a digest that differs where two recipes differ."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _stretched(phases: Iterable[Phase], epochs: float) -> tuple[Phase, ...]:
    if not 0 < epochs < math.inf:
        raise RecipeError(f"the number of epochs must be positive, not {epochs:g}")
    before = tuple(phases)
    factor = epochs / sum(phase.epochs for phase in before)
    return tuple(phase.model_copy(update={"epochs": phase.epochs * factor}) for phase in before)


def load_recipe(network: str, source: Path | str | None = None, precision: Precision = "hardware") -> Recipe:
    """Read a recipe: a file, or by its name one of those in recipes/, or by default the network's own.

    That is NAME.yaml for hardware precision and NAME-paper.yaml for the paper's, each in the other's place if
    there is only one; NAME is the network's or the family's. Raises RecipeError or UnknownNetworkError.
    """
    spec = network_spec(network)
    path = _default_path(spec.name, precision) if source is None else _given_path(source)
    try:
        recipe = Recipe.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe {path} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise RecipeError(f"the recipe {path} is wrong: {where}: {first['msg']}") from error
    if recipe.network not in (spec.name, _family(spec.name)):
        raise RecipeError(f"the recipe {path} is for {recipe.network}, not for {spec.name}")
    if any(phase.size > spec.size for phase in (*recipe.phases, *recipe.release)):
        raise RecipeError(f"the recipe {path} has crops larger than the pictures of {spec.name} ({spec.size})")
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
    """Return birealnet18 for birealnet18_A, and a name without a variant as it is."""
    head, _, variant = network.rpartition("_")
    return head if len(variant) == 1 else network


@dataclass(frozen=True)
class Position:
    """Where a step is: its phase, whether it is the first one there, and the learning rate."""

    phase: Phase
    is_first: bool
    learning_rate: float


class Schedule:
    """Maps every step of a run to its phase and learning rate.

    A release begins at the step that the run before it had reached.
    """

    def __init__(self, recipe: Recipe, images: int, begin: int = 0) -> None:
        if images < recipe.batch_size:
            raise RecipeError(f"{images} images do not fill a batch of {recipe.batch_size}")
        self.recipe = recipe
        self.begin = begin
        self.steps_per_epoch = images // recipe.batch_size
        ends = (end * self.steps_per_epoch for end in accumulate(phase.epochs for phase in recipe.phases))
        self._ends = [end if math.isinf(end) else begin + round(end) for end in ends]
        if self._ends[-1] == begin:
            raise RecipeError(f"{recipe.epochs:g} epochs of {self.steps_per_epoch} steps are no step at all")

    @property
    def steps(self) -> int | None:
        """The step after the last one of the whole run; None for a run without an end."""
        end = self._ends[-1]
        return None if math.isinf(end) else int(end)

    def at(self, step: int) -> Position:
        """Return phase and learning rate of a step, begin <= step < steps."""
        index = next(i for i, end in enumerate(self._ends) if step < end)
        phase = self.recipe.phases[index]
        start = self._ends[index - 1] if index else self.begin
        rate = phase.rate((step - start) / (self._ends[index] - start))
        warmup = min(1.0, (step + 1) / self.recipe.warmup_steps) if self.recipe.warmup_steps else 1.0
        return Position(phase, step == start, rate * warmup)
