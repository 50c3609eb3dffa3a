# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can cause; a command line prints each as one line and exits with code 1."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError


class ModelError(Exception):
    """Base of every error that the user can put right; the message is one line."""


class UnknownNetworkError(ModelError):
    """The registry has no network of that name."""


class NetworkFileError(ModelError):
    """The file of a network is missing, malformed, or describes one that cannot be."""


class SizeError(ModelError):
    """A network cannot take pictures of this size."""


class FormatError(ModelError):
    """The integer formats of a network do not fit each other."""


class PrecisionError(ModelError):
    """An operation was asked of a network whose precision does not have it."""


class RecipeError(ModelError):
    """A training recipe is missing, malformed or does not fit the network."""


class DataError(ModelError):
    """A data set is missing, unreadable or of the wrong shape."""


class CheckpointError(ModelError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class TrainingError(ModelError):
    """Training cannot go on, for instance because the loss is not a number."""


class ExportError(ModelError):
    """A network cannot be exported, or the exported graph does not compute what the network computes."""


class GivenModelError(ModelError):
    """A model file, or the samples for it, that the user gives cannot be used."""


def first_problem(error: ValidationError) -> str:
    """Return what is wrong with a file, and where, in one line."""
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, as hw.plain_yaml does, of which this package knows nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = [key for number, (key, _) in enumerate(node.value) if key.value in keys[:number]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice[0].value}' stands twice", twice[0].start_mark)
        return super().construct_mapping(node, deep)


@contextmanager
def reading(what: str, path: Path, kind: type[ModelError]) -> Iterator[Any]:
    """Yield the content of a YAML file, to be checked: what is wrong with it becomes an error of that kind."""
    try:
        yield yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise kind(f"cannot read the {what} {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise kind(f"the {what} {path} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise kind(f"the {what} {path} is wrong: {first_problem(error)}") from error
