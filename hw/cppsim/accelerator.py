# SPDX-License-Identifier: Apache-2.0
"""A compiled accelerator as a Python object: numpy in, numpy out; neither FINN nor torch is needed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.cppsim.compile import LIBRARY, compile_program
from hw.cppsim.errors import CppsimError, ImageError
from hw.cppsim.interface import FILE, Interface, TensorInfo

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
_PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_SHORT = 2
"""What `cppsim_run` returns when it lacks memory or threads."""


class Accelerator:
    """The integer graph of a build, on this machine's processors.

    Constants and one workspace a thread are allocated once and kept from call to call. Calls from several threads
    wait for each other.
    """

    def __init__(self, folder: Path, cache_dir: Path | None = None) -> None:
        """See `load`; ``folder`` is the program's own."""
        self.interface = Interface.load(folder)
        self._library = _library(compile_program(folder, LIBRARY, cache_dir))
        if self._library.cppsim_tensors() != len(self.interface.tensors):
            raise CppsimError(f"{folder / FILE} describes another program; build again")
        message = ctypes.create_string_buffer(200)
        path = os.fsencode(folder / "constants.bin")
        self._handle = ctypes.c_void_p(self._library.cppsim_open(path, message, len(message)))
        if not self._handle:
            raise CppsimError(f"{folder / 'constants.bin'}: {message.value.decode()}; build again")

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.cppsim_close(self._handle)

    @classmethod
    def load(cls, build_dir: Path | str, cache_dir: Path | None = None) -> Accelerator:
        """Open the accelerator of a build; it is compiled where this machine has not compiled it before.

        Args:
            build_dir: output folder of the build, or the folder with program.cpp.
            cache_dir: in place of the cache's folder.

        Raises:
            CppsimError: the folder holds no accelerator or a damaged one, or it does not compile.
        """
        build_dir = Path(build_dir)
        found = [build_dir, *sorted(build_dir.glob("cppsim")), *sorted(build_dir.glob("*/cppsim"))]
        return cls(next((folder for folder in found if (folder / FILE).exists()), build_dir), cache_dir)

    @property
    def workspace_bytes(self) -> int:
        """Memory that each thread works in."""
        return int(self._library.cppsim_workspace_bytes())

    def predict(self, images: Array, *, threads: int | None = None, progress: Progress | None = None) -> Array:
        """The class of each image: the index of its largest logit, of equal ones the first.

        Args:
            images: (n, channels, height, width) integers in the input's range, 0 .. 255 for pixels.
            threads: default: all processors of this process.
            progress: called with (images done, all images), from the calling thread; an exception in it, or
                Ctrl-C, stops the run.

        Returns:
            (n,) int64.

        Raises:
            ImageError: images of another shape, type or range.
        """
        return self.classes(self.run(images, threads=threads, progress=progress))

    def classes(self, output: Array) -> Array:
        """The class of each image, (n,), of the integers that `run` gives."""
        flat = output.reshape(len(output), -1)
        if any(isinstance(one, Sequence) for one in (self.interface.scale, self.interface.offset)):
            flat = self._logits(flat)
        labels: Array = flat[:, 0].astype(np.int64) if self.interface.label else flat.argmax(axis=1)
        return labels

    def _logits(self, output: Array) -> Array:
        scale, offset = (np.asarray(one, np.float32) for one in (self.interface.scale, self.interface.offset))
        logits: Array = output.astype(np.float32) * scale + offset
        return logits

    def logits(self, images: Array, *, threads: int | None = None, progress: Progress | None = None) -> Array:
        """The network's logits, (n, classes) float32: the output's integers, scaled and offset. See `predict`.

        Raises:
            CppsimError: the accelerator gives labels.
        """
        if self.interface.scale is None:
            raise CppsimError("this accelerator has no logits, its output is a label; use predict or run")
        return self._logits(self.run(images, threads=threads, progress=progress))

    def run(self, images: Array, *, threads: int | None = None, progress: Progress | None = None) -> Array:
        """The integers at the accelerator's output, (n, ...) of its type. See `predict`."""
        inputs = self._as_input(images)
        results = self.execute(inputs, len(images), planar=True, threads=threads, progress=progress)
        return results[self.interface.outputs[0]]

    def tensors(self, image: Array) -> dict[str, Array]:
        """Every tensor of one image (channels, height, width): name -> integers of the tensor's shape, (1, ...)."""
        sources, infos = self._sources(self._as_input(image[None]), 1), self.interface.tensors
        targets = [np.empty(info.shape, info.type.dtype) for info in infos]
        if self._library.cppsim_trace(self._handle, _pointers(sources), True, _pointers(targets)):
            raise MemoryError("not enough memory for the accelerator")
        return {info.name: target for info, target in zip(infos, targets, strict=True)}

    def execute(
        self,
        inputs: Mapping[str, Array],
        frames: int,
        *,
        planar: bool = False,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Array]:
        """Run frames through all inputs and outputs of the graph.

        Args:
            inputs: name -> all frames back to back, of the tensor's type and in its range; channels last.
            frames: how many they are.
            planar: the inputs are channels first.
            threads: default: all processors of this process.
            progress: see `predict`.

        Returns:
            name of an output -> (frames, its shape without the leading 1).
        """
        sources = self._sources(inputs, frames)
        infos = [self.interface.tensor(name) for name in self.interface.outputs]
        targets = [np.empty(_batch(info.shape, frames), info.type.dtype) for info in infos]
        failure: list[BaseException] = []

        def report(done: int, total: int) -> int:
            try:
                if progress is not None:
                    progress(done, total)
            except BaseException as error:  # ctypes would drop it
                failure.append(error)
            return len(failure)

        ports = (_pointers(sources), _pointers(targets))
        threads = max(1, threads or len(os.sched_getaffinity(0)))
        status = self._library.cppsim_run(self._handle, *ports, frames, planar, threads, _PROGRESS(report))
        if failure:
            raise failure[0]
        if status == _SHORT:
            raise MemoryError("not enough memory or threads for the accelerator; use fewer threads")
        return {info.name: target for info, target in zip(infos, targets, strict=True)}

    def _as_input(self, images: Array) -> dict[str, Array]:
        """Images as the graph's only input: of its shape, and integers."""
        if len(self.interface.inputs) != 1 or len(self.interface.outputs) != 1:
            raise CppsimError("the graph has several inputs or outputs; use execute")
        info = self.interface.tensor(self.interface.inputs[0])
        shape = (info.shape[-1], *info.shape[1:-1])
        if not isinstance(images, np.ndarray):
            raise ImageError(f"images must be a numpy array, not {type(images).__name__}")
        if images.ndim != len(shape) + 1 or images.shape[1:] != shape:
            raise ImageError(f"images must have the shape (n, {', '.join(map(str, shape))}), not {images.shape}")
        if not np.issubdtype(images.dtype, np.integer):
            raise ImageError(f"images must be integers ({info.datatype}), not {images.dtype}; do not normalise them")
        return {info.name: images}

    def _sources(self, inputs: Mapping[str, Array], frames: int) -> list[Array]:
        """The values of all inputs as the program takes them."""
        return [_checked(self.interface.tensor(name), inputs[name], frames) for name in self.interface.inputs]


def _checked(info: TensorInfo, values: Array, frames: int) -> Array:
    if values.size != frames * int(np.prod(info.shape)):
        raise ImageError(f"{info.name}: {values.size} values for {frames} frames of shape {info.shape}")
    kind = info.type
    if values.size and not (values.min() >= kind.low and values.max() <= kind.high):
        found = f"values {values.min():g} .. {values.max():g} outside {kind.low} .. {kind.high}"
        raise ImageError(f"{info.name} holds {found}; the input is {info.datatype}")
    converted = np.ascontiguousarray(values, dtype=kind.dtype)
    if not np.issubdtype(values.dtype, np.integer) and not np.array_equal(converted, values):
        raise ImageError(f"{info.name} holds values that are no integers; the input is {info.datatype}")
    return converted


def _library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.cppsim_open.restype = pointer
    library.cppsim_open.argtypes = [ctypes.c_char_p, ctypes.c_char_p, size]
    library.cppsim_close.argtypes = [pointer]
    library.cppsim_tensors.restype = size
    library.cppsim_workspace_bytes.restype = size
    library.cppsim_run.argtypes = [pointer, pointer, pointer, size, ctypes.c_int, ctypes.c_uint, _PROGRESS]
    library.cppsim_trace.argtypes = [pointer, pointer, ctypes.c_int, pointer]
    return library


def _pointers(arrays: list[Array]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _batch(shape: Sequence[int], frames: int) -> tuple[int, ...]:
    """Shape of several frames: a leading 1 is the batch."""
    return (frames, *shape[1:]) if shape[0] == 1 else (frames, *shape)
