# SPDX-License-Identifier: Apache-2.0
"""The driver: FINN's interface (execute, execute_on_buffers, throughput_test), classify and validate."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Sequence
from zipfile import BadZipFile
from zlib import error as DamagedZip  # noqa: N812

import numpy as np

from hw.streams.packing import DataType, PackingError, pack, unpack

from . import dma
from .device import open_overlay
from .errors import BusyError, DeviceError, DriverError, InputError
from .settings import Settings

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

PACKAGE = Path(__file__).resolve().parent.parent
STREAMED_BATCHES = 4
"""Batches of the throughput test's stream: the first fills it, the others run while the host works."""


class Accelerator:
    """An accelerator of this project on its board, or on the stand-in that IR2NET_DEVICE names.

    The names and shapes are those of FINN's driver, so that code written for it goes on working. Not for several
    threads at once: a second one is refused with BusyError, it does not wait.

        with Accelerator(batch_size=16) as accelerator:
            labels, scores = accelerator.classify(images)
    """

    def __init__(  # noqa: PLR0917 - FINN's driver has as many
        self,
        package: Path | str | None = None,
        batch_size: int = 1,
        timeout_s: float = 10.0,
        device: str | None = None,
        target: Any = None,
        download: bool = True,
    ) -> None:
        """Check the package, load the bitfile, set the clock and allocate the buffers.

        Args:
            package: folder with settings.json; default: the one that this driver lies in.
            batch_size: images that the buffers hold.
            timeout_s: seconds that a run may take.
            device: "board", "rtlsim" or "cppsim"; default: what IR2NET_DEVICE names, or the board.
            target: pynq's device object where there are several cards.
            download: load the bitfile; False where it is loaded already.

        Raises:
            PackageError: the package is damaged, edited, or not of the bitfile's build.
            DeviceError: no such device here, or no memory on it.
        """
        self.settings = Settings.load(Path(package) if package is not None else PACKAGE)
        self.io_shape_dict = self.settings.io_shape_dict
        self.timeout_s = timeout_s
        self.ibuf_packed_device: list[Any] = []
        self.obuf_packed_device: list[Any] = []
        # FINN's buffers, and a second set that is filled while the first one's run is under way
        self._sets: list[tuple[list[Any], list[Any]]] = [(self.ibuf_packed_device, self.obuf_packed_device), ([], [])]
        self._images: list[Any] = []
        self._waited_s = 0.0
        self._lock = threading.Lock()
        self._running = False
        self._stuck: DeviceError | None = None
        self._closed = False
        self._target = target
        self._pynq, self.overlay = open_overlay(self.settings, device, target, download)
        try:
            self._connect(batch_size)
        except BaseException:
            self.close()
            raise

    def _connect(self, batch_size: int) -> None:
        """Find the DMAs, set the clock and allocate the buffers."""
        shapes = self.io_shape_dict
        self._idt = [DataType.of(name) for name in shapes["idt"]]
        self._odt = [DataType.of(name) for name in shapes["odt"]]
        kind = {"zynq-iodma": dma.ZynqDma, "alveo": dma.AlveoDma}[self.platform]
        self.idma: list[Any] = [kind(name, self._ip(name)) for name in shapes["input_dma_name"]]
        self.odma: list[Any] = [kind(name, self._ip(name)) for name in shapes["output_dma_name"]]
        if self.platform == "zynq-iodma":
            # the reference of the PLL beside the accelerator, not the accelerator's clock
            self._clocks().fclk0_mhz = self.settings.reference_mhz
        self.batch_size = batch_size

    # What FINN's driver tells about itself

    @property
    def platform(self) -> str:
        """FINN's platform: "zynq-iodma" or "alveo"."""
        return self.settings.platform

    @property
    def num_inputs(self) -> int:
        """Number of input tensors."""
        return len(self._idt)

    @property
    def num_outputs(self) -> int:
        """Number of output tensors."""
        return len(self._odt)

    @property
    def fclk_mhz(self) -> float:
        """The accelerator's clock as it runs now, read back from the device."""
        if self.platform == "alveo":
            return float(self.overlay.clock_dict["clock0"]["frequency"])
        reference = self.settings.reference_mhz or self.settings.clock_mhz
        return self.settings.clock_mhz * float(self._clocks().fclk0_mhz) / reference

    def idt(self, ind: int = 0) -> DataType:
        """Type of an input's elements."""
        return self._idt[ind]

    def odt(self, ind: int = 0) -> DataType:
        """Type of an output's elements."""
        return self._odt[ind]

    def ishape_normal(self, ind: int = 0) -> tuple[int, ...]:
        """Shape of an input, (batch, height, width, channels)."""
        return self._shape("ishape_normal", ind)

    def oshape_normal(self, ind: int = 0) -> tuple[int, ...]:
        """Shape of an output."""
        return self._shape("oshape_normal", ind)

    def ishape_folded(self, ind: int = 0) -> tuple[int, ...]:
        """Shape of an input as it travels, the elements of a beat last."""
        return self._shape("ishape_folded", ind)

    def oshape_folded(self, ind: int = 0) -> tuple[int, ...]:
        """Shape of an output as it travels, the elements of a beat last."""
        return self._shape("oshape_folded", ind)

    def ishape_packed(self, ind: int = 0) -> tuple[int, ...]:
        """Shape of an input's buffer, the bytes of a beat last."""
        return self._shape("ishape_packed", ind)

    def oshape_packed(self, ind: int = 0) -> tuple[int, ...]:
        """Shape of an output's buffer, the bytes of a beat last."""
        return self._shape("oshape_packed", ind)

    @property
    def batch_size(self) -> int:
        """Images that the buffers hold; setting it allocates new buffers and frees the old ones."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        frames = _positive("batch_size", value)
        with self._alone(allocating=True):
            self._batch_size = frames
            self._free()
            try:
                for inputs, outputs in self._sets:
                    for ind in range(self.num_inputs):
                        inputs.append(self._allocate(self.idma[ind].name, self.ishape_packed(ind)))
                    for ind in range(self.num_outputs):
                        outputs.append(self._allocate(self.odma[ind].name, self.oshape_packed(ind)))
            except BaseException:
                self._free()
                raise

    # FINN's steps from an array to an array

    def fold_input(self, ibuf_normal: Array, ind: int = 0) -> Array:
        """(batch, height, width, channels) as it travels."""
        if not isinstance(ibuf_normal, np.ndarray):
            raise InputError(f"input {ind} must be a numpy array, not {type(ibuf_normal).__name__}")
        if ibuf_normal.shape != self.ishape_normal(ind):
            raise InputError(f"input {ind} must be {self.ishape_normal(ind)}, not {ibuf_normal.shape}")
        return ibuf_normal.reshape(self.ishape_folded(ind))

    def pack_input(self, ibuf_folded: Array, ind: int = 0, out: Array | None = None) -> Array:
        """Bytes of a folded input, in `out` where that is given; raises InputError for values of another type."""
        try:
            return pack(ibuf_folded, self._idt[ind], self.ishape_packed(ind)[-1], out)
        except PackingError as error:
            raise InputError(str(error)) from error

    def unpack_output(self, obuf_packed: Array, ind: int = 0) -> Array:
        """Folded output of the bytes in a buffer."""
        return unpack(np.asarray(obuf_packed), self._odt[ind], self.oshape_folded(ind)[-1])

    def unfold_output(self, obuf_folded: Array, ind: int = 0) -> Array:
        """Folded output in its normal shape."""
        return obuf_folded.reshape(obuf_folded.shape[:1] + self.oshape_normal(ind)[1:])

    def copy_input_data_to_device(self, data: Array, ind: int = 0) -> None:
        """Bytes into an input's buffer."""
        np.copyto(np.asarray(self.ibuf_packed_device[ind]), data)
        self.ibuf_packed_device[ind].flush()

    def copy_output_data_from_device(self, data: Array, ind: int = 0) -> None:
        """Bytes out of an output's buffer."""
        self.obuf_packed_device[ind].invalidate()
        np.copyto(data, np.asarray(self.obuf_packed_device[ind]))

    def execute(self, input_npy: Any) -> Any:
        """A whole batch: array, or list or tuple of an array for each input, to array or list of arrays."""
        inputs = input_npy if isinstance(input_npy, (list, tuple)) else [input_npy]
        if len(inputs) != self.num_inputs:
            raise InputError(f"{len(inputs)} arrays for {self.num_inputs} inputs")
        with self._alone():
            buffers = zip(inputs, self.ibuf_packed_device)
            sources = [
                self._fill(buffer, self.fold_input(values, ind), ind) for ind, (values, buffer) in enumerate(buffers)
            ]
            self._start(self.batch_size, sources, self.obuf_packed_device)
            self._wait()
            outputs = [self._read(buffer, self.batch_size, ind) for ind, buffer in enumerate(self.obuf_packed_device)]
        return outputs[0] if self.num_outputs == 1 else outputs

    def execute_on_buffers(self, asynch: bool = False, batch_size: int | None = None) -> None:
        """Run on what the buffers hold; with `asynch` return at once, and let `wait_until_finished` wait."""
        frames = self.batch_size if batch_size is None else _positive("batch_size", batch_size)
        if frames > self.batch_size:
            raise InputError(
                f"a run of {frames} images does not fit buffers for {self.batch_size}: set batch_size first"
            )
        with self._alone():
            self._start(frames, self.ibuf_packed_device, self.obuf_packed_device)
            if not asynch:
                self._wait()

    def wait_until_finished(self) -> None:
        """Until the run that `execute_on_buffers(asynch=True)` started has finished."""
        with self._alone(running=True):
            self._wait()

    # What this project adds

    def classify(self, images: Array) -> tuple[Array, Array | None]:
        """Labels and scores of images.

        Args:
            images: (n, channels, height, width) or one image without n: integers, 0 .. 255 for pixels; any n.

        Returns:
            (n,) int64: of equal scores the first; and (n, classes) float32, or None where the accelerator gives
            labels only.

        Raises:
            InputError: images of another shape or type; the message says which are wanted.
            DmaTimeoutError: a DMA is stuck.
        """
        results = self.run(images)
        flat = results.reshape(len(results), int(np.prod(results.shape[1:])))  # also of no images
        if self.settings.scale is None:
            return flat[:, 0].astype(np.int64), None
        scale, offset = (np.asarray(one, np.float32) for one in (self.settings.scale, self.settings.offset))
        scores = flat.astype(np.float32) * scale + offset
        ranked = scores if scale.ndim or offset.ndim else flat
        return ranked.argmax(axis=1).astype(np.int64), scores

    def run(self, images: Array) -> Array:
        """The integers at the accelerator's output for images as `classify` takes them.

        While a batch runs, the next one is copied and the results of the last one are read.
        """
        frames = np.moveaxis(self._check(images), 1, -1)
        batches = (frames[start : start + self.batch_size] for start in range(0, len(frames), self.batch_size))
        results: list[Array] = []
        running: tuple[Any, int] | None = None
        with self._alone():
            for batch, ((spare,), (target,)) in zip(batches, itertools.cycle(self._sets)):
                with self._meanwhile():
                    source = self._fill(spare, batch, 0)
                if running is not None:
                    self._wait()
                self._start(len(batch), [source], [target])
                if running is not None:
                    with self._meanwhile():
                        results.append(self._read(*running, 0))
                running = target, len(batch)
            if running is not None:
                self._wait()
                results.append(self._read(*running, 0))
        return np.concatenate(results) if results else np.empty((0, *self.oshape_normal()[1:]), self.odt().dtype)

    def allocate_images(self, count: int) -> Array:
        """Memory of the device for images: what `classify` and `run` find there is not copied.

        Args:
            count: images that it holds; any number, whatever the batch size.

        Returns:
            uint8 (count, channels, height, width), to be filled; `close` frees it, do not use it after that.

        Raises:
            InputError: the count is no positive integer, or the accelerator takes no single input of 8-bit pixels.
            DeviceError: no memory.
        """
        count = _positive("count", count)
        if self.num_inputs != 1 or not self._in_whole_bytes(0):
            raise InputError("only images of 8-bit pixels, the one input, need no copy: give classify any array")
        with self._alone(allocating=True):
            buffer = self._allocate(self.idma[0].name, (count, *self.ishape_packed()[1:]))
            self._images.append(buffer)
        images: Array = np.moveaxis(np.asarray(buffer).reshape((count, *self.ishape_normal()[1:])), -1, 1)
        return images

    def validate(self, golden: Path | str | None = None) -> bool:
        """Run the golden vectors and print EXACT, or the first integer that differs.

        Args:
            golden: npz file with images and the outputs that they must give; default: the package's.

        Returns:
            Whether every integer is the expected one.

        Raises:
            InputError: there is no such file, or it holds something else.
        """
        exact, verdict = self.compare(golden)
        print(verdict)
        return exact

    def compare(self, golden: Path | str | None = None) -> tuple[bool, str]:
        """As `validate`, but the verdict is returned as well, and not printed."""
        images, expected = _vectors(Path(golden or self.settings.folder / "golden.npz"), "outputs")
        found = self.run(images)
        if found.size != expected.size:
            raise InputError(f"the outputs that are expected are {expected.shape}, the accelerator gives {found.shape}")
        found = found.reshape(expected.shape)
        wrong = np.argwhere(found != expected)
        if not len(wrong):
            return True, f"EXACT: {len(images)} images, {expected.size} integers"
        at = tuple(int(index) for index in wrong[0])
        return False, (
            f"DIFFERENT: image {at[0]}, output {list(at[1:])}: {found[at]} instead of {expected[at]}; "
            f"{len(wrong)} of {expected.size} integers differ"
        )

    def accuracy(self, labelled: Path | str) -> tuple[int, int]:
        """How many images get the label that a file gives them, and how many it holds.

        Args:
            labelled: npz file with images, as `classify` takes them, and labels.

        Raises:
            InputError: there is no such file, or it holds something else.
        """
        images, labels = _vectors(Path(labelled), "labels")
        if labels.shape != (len(images),) or not len(images):
            raise InputError(f"{labelled} has labels of shape {labels.shape} for images of shape {images.shape}")
        return int((self.classify(images)[0] == labels).sum()), len(images)

    def throughput_test(self) -> dict[str, Any]:
        """Run a batch and report FINN's figures; where the device counts cycles, what they mean at its clock."""
        result: dict[str, Any] = {}
        began = time.perf_counter()
        self.execute_on_buffers()
        runtime = time.perf_counter() - began
        total_in = sum(int(np.prod(self.ishape_packed(ind))) for ind in range(self.num_inputs))
        total_out = sum(int(np.prod(self.oshape_packed(ind))) for ind in range(self.num_outputs))
        result["runtime[ms]"] = runtime * 1e3
        result["throughput[images/s]"] = self.batch_size / runtime
        result["DRAM_in_bandwidth[MB/s]"] = total_in * 1e-6 / runtime
        result["DRAM_out_bandwidth[MB/s]"] = total_out * 1e-6 / runtime
        result["fclk[mhz]"] = self.fclk_mhz
        result["batch_size"] = self.batch_size
        cycles = getattr(self.overlay, "simulated_cycles", None)
        if cycles:
            result["simulated_cycles"] = cycles
            result["throughput_of_these_cycles[images/s]"] = self.batch_size * self.fclk_mhz * 1e6 / cycles
        low, high = self._idt[0].low, self._idt[0].high
        values = np.random.default_rng(0).integers(low, high + 1, self.ishape_normal()).astype(self._idt[0].dtype)
        if self._idt[0].name == "BIPOLAR":
            values[values == 0] = 1
        back = np.empty(self.oshape_packed(), np.uint8)

        def timed(step: Any, argument: Array) -> Any:
            began = time.perf_counter()
            outcome = step(argument)
            result[f"{step.__name__}[ms]"] = (time.perf_counter() - began) * 1e3
            return outcome

        timed(self.copy_input_data_to_device, timed(self.pack_input, timed(self.fold_input, values)))
        timed(self.copy_output_data_from_device, back)
        timed(self.unfold_output, timed(self.unpack_output, back))
        if self.num_inputs == self.num_outputs == 1:
            self._stream_test(values, result)
        return result

    def _stream_test(self, values: Array, result: dict[str, Any]) -> None:
        """What host and accelerator need for a batch in a stream of them: the slower one binds."""
        images = np.ascontiguousarray(np.moveaxis(np.concatenate([values] * STREAMED_BATCHES), -1, 1))
        self._waited_s = 0.0
        began = time.perf_counter()
        self.run(images)
        took = time.perf_counter() - began
        cycles = result.get("simulated_cycles")
        result["streamed[images/s]"] = len(images) / took
        result["host_per_batch[ms]"] = (took - self._waited_s) / STREAMED_BATCHES * 1e3
        result["accelerator_per_batch[ms]"] = cycles / self.fclk_mhz * 1e-3 if cycles else result["runtime[ms]"]
        if cycles:
            result["waited_for_host[cycles]"] = sum(self.overlay.waits()[1 - STREAMED_BATCHES :])

    # Life time

    def close(self) -> None:
        """Free the buffers. A DMA that is stuck is stopped first, by loading the bitfile again."""
        if self._closed:
            return
        self._closed = True
        try:
            if (self._stuck or self._running) and self.platform == "zynq-iodma":
                self.overlay.download()  # or it would write into memory that is no longer ours
        finally:
            self._free()
            while self._images:
                self._images.pop().freebuffer()
            release = getattr(self.overlay, "free", None)
            if release is not None:
                release()

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Within

    def _clocks(self) -> Any:
        found = getattr(self._pynq, "Clocks", None)
        if found is None:
            from pynq.ps import Clocks

            found = Clocks
        return found

    def _ip(self, name: str) -> Any:
        found = getattr(self.overlay, name, None)
        if found is None:
            raise DeviceError(f"the bitfile has no {name}: it is not one of this driver's accelerators")
        return found

    def _shape(self, key: str, ind: int) -> tuple[int, ...]:
        return (self._batch_size, *tuple(self.io_shape_dict[key][ind][1:]))

    def _allocate(self, name: str, shape: tuple[int, ...]) -> Any:
        try:
            buffer = self._pynq.allocate(
                shape=shape, dtype=np.uint8, cacheable=self.platform == "zynq-iodma", target=self._target
            )
        except (MemoryError, RuntimeError) as error:
            raise DeviceError(
                f"no memory for {name}'s buffer of {int(np.prod(shape))} bytes ({error}): use a smaller batch_size"
            ) from error
        if buffer.shape != shape or buffer.dtype != np.uint8:
            found = f"{buffer.dtype} {buffer.shape}"
            buffer.freebuffer()
            raise DeviceError(f"{name}'s buffer is {found}, not uint8 {shape}")
        return buffer

    def _free(self) -> None:
        for buffers in itertools.chain(*self._sets):
            while buffers:
                buffers.pop().freebuffer()

    @contextlib.contextmanager
    def _alone(self, running: bool = False, allocating: bool = False) -> Iterator[None]:
        """Entered by one thread at a time; a second one is refused, and so is everybody once the device is stuck."""
        if not self._lock.acquire(blocking=False):
            raise BusyError("another thread uses this accelerator: let one thread use it, or take turns with a lock")
        try:
            if self._closed:
                raise DriverError("the driver is closed: open it again")
            if self._stuck is not None:
                raise DeviceError(f"the device is stuck since: {self._stuck}") from self._stuck
            if not self.obuf_packed_device and not allocating:
                raise DeviceError("there are no buffers: set a smaller batch_size")
            if self._running and not running:
                raise BusyError("the accelerator is running: call wait_until_finished first")
            yield
        finally:
            self._lock.release()

    def _check(self, images: Array) -> Array:
        if self.num_inputs != 1 or self.num_outputs != 1:
            raise InputError("the accelerator has several inputs or outputs: use execute")
        height_first = self.ishape_normal()[1:]
        shape = height_first[-1:] + height_first[:-1]
        if not isinstance(images, np.ndarray):
            raise InputError(f"images must be a numpy array, not {type(images).__name__}")
        if images.ndim == len(shape):
            images = images[None]
        if images.shape[1:] != shape:
            hint = ""
            if images.shape[1:] == height_first:
                hint = ": the channels come first, use images.transpose(0, 3, 1, 2)"
            raise InputError("images must be (n, {}), not {}{}".format(", ".join(map(str, shape)), images.shape, hint))
        if images.dtype.kind not in "iu":
            raise InputError(f"images must be integers ({self.idt().name}), not {images.dtype}: do not normalise them")
        return images

    def _in_whole_bytes(self, ind: int) -> bool:
        """Whether an input's elements are bytes that fill their beats: a buffer then holds them as an array does."""
        datatype = self._idt[ind]
        whole = datatype.dtype == np.uint8 and datatype.bits == 8
        return bool(whole and self.ishape_packed(ind) == self.ishape_folded(ind))

    def _fill(self, buffer: Any, values: Array, ind: int) -> Any:
        """Values to where an input's DMA reads them: the buffer, or where they lie in memory of the device already.

        One copy at most where elements are whole bytes and fill their beats.
        """
        target = np.asarray(buffer)[: len(values)]
        if values.dtype == np.uint8 and self._in_whole_bytes(ind):
            place = dma.place(values)
            if place is not None:
                place.flush()
                return place
            _copy(values, target.reshape(values.shape))
        else:
            folded = (len(values), *self.ishape_folded(ind)[1:])
            self.pack_input(np.ascontiguousarray(values).reshape(folded), ind, target)
        buffer.flush()
        return buffer

    def _read(self, buffer: Any, frames: int, ind: int) -> Array:
        """The results of a run in its output's buffer, as an array of their own."""
        buffer.invalidate()
        return self.unfold_output(self.unpack_output(np.asarray(buffer)[:frames], ind), ind).copy()

    @contextlib.contextmanager
    def _meanwhile(self) -> Iterator[None]:
        """What the host does while a run is under way: where it fails, the run is waited for, so that none is left."""
        try:
            yield
        except BaseException:
            if self._running:
                self._wait()
            raise

    def _start(self, frames: int, sources: Sequence[Any], targets: Sequence[Any]) -> None:
        self._running = True  # also where a start fails half way: what was started is not known then
        for output, buffer in zip(self.odma, targets):
            output.start(buffer, frames)
        for source, buffer in zip(self.idma, sources):
            source.start(buffer, frames)

    def _wait(self) -> None:
        if not self._running:
            raise BusyError("nothing is running: call execute_on_buffers(asynch=True) first")
        began = time.perf_counter()
        try:
            dma.wait(self.odma, self.idma, self.timeout_s)
        except DeviceError as error:
            self._stuck = error
            raise
        self._waited_s += time.perf_counter() - began
        self._running = False


def _copy(values: Array, target: Array) -> None:
    """Channels last into a buffer; planes one by one: numpy alone goes pixel by pixel, four times as slowly."""
    if values.flags.c_contiguous:
        np.copyto(target, values)
        return
    for channel in range(values.shape[-1]):
        np.copyto(target[..., channel], values[..., channel])


def _positive(name: str, value: Any) -> int:
    """A count as Python's own integer: pynq's registers take no other."""
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a positive integer, not {value!r}")
    return int(value)


def _vectors(path: Path, results: str) -> tuple[Array, Array]:
    """Images, and the "outputs" or "labels" that they must give."""
    try:
        with np.load(str(path)) as file:
            return file["images"], file[results]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile, DamagedZip) as error:
        raise InputError(f"{path} is no npz file with arrays called images and {results}") from error
