# SPDX-License-Identifier: Apache-2.0
"""The driver on the stand-in: FINN's interface, classify, validate, and what it says when something is wrong."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw.driver import Accelerator, BusyError, DeviceError, DmaTimeoutError, DriverError, InputError, PackageError
from hw.driver import accelerator as module
from hw.driver.standin import memory
from tests.hw.driver import packages
from tests.hw.driver.packages import IMAGES, SCALE, expected

NHWC = IMAGES.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("platform", ["zynq-iodma", "alveo"])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_classify(tmp_path: Path, platform: str, batch_size: int) -> None:
    package = packages.write(tmp_path / "package", platform=platform)
    with Accelerator(package, batch_size) as accelerator:
        labels, scores = accelerator.classify(IMAGES)
        assert np.array_equal(scores, expected(IMAGES) * SCALE)
        assert np.array_equal(labels, expected(IMAGES).argmax(axis=1))
        assert (labels.dtype, scores.dtype) == (np.int64, np.float32)
        assert accelerator.classify(IMAGES[0])[0].tolist() == labels[:1].tolist()
        assert accelerator.classify(IMAGES[:0])[0].shape == (0,)
        assert accelerator.fclk_mhz == 200


def test_labels_from_the_device(tmp_path: Path) -> None:
    with Accelerator(packages.write(tmp_path / "package", scale=None)) as accelerator:
        labels, scores = accelerator.classify(IMAGES)
    assert scores is None
    assert np.array_equal(labels, expected(IMAGES)[:, 0])


def test_execute_and_its_steps(package: Path) -> None:
    with Accelerator(package, batch_size=5) as accelerator:
        result = accelerator.execute(NHWC)
        assert np.array_equal(result, expected(IMAGES))
        accelerator.copy_input_data_to_device(accelerator.pack_input(accelerator.fold_input(NHWC[::-1])))
        accelerator.execute_on_buffers(asynch=True)
        with pytest.raises(BusyError, match="wait_until_finished"):
            accelerator.execute(NHWC)
        accelerator.wait_until_finished()
        packed = np.empty(accelerator.oshape_packed(), np.uint8)
        accelerator.copy_output_data_from_device(packed)
        found = accelerator.unfold_output(accelerator.unpack_output(packed))
        assert np.array_equal(found, result[::-1])
        assert result.tolist() == expected(IMAGES).tolist()  # of the first run still, not a view of the buffer
        assert (accelerator.num_inputs, accelerator.ishape_folded()) == (1, (5, 4, 4, 1, 3))
        accelerator.batch_size = 2
        assert np.array_equal(accelerator.execute(NHWC[:2]), result[:2])


@pytest.mark.parametrize("platform", ["zynq-iodma", "alveo"])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 15])
def test_any_number_of_images_through_two_sets_of_buffers(tmp_path: Path, platform: str, count: int) -> None:
    images = np.random.default_rng(count).integers(0, 256, (count, 3, 4, 4)).astype(np.uint8)
    shapes = packages.shapes() | {"odt": ["DataType['INT16']"]}  # results of whole bytes, which need no unpacking
    package = packages.write(tmp_path / "package", platform=platform, io_shape_dict=shapes)
    with Accelerator(package, batch_size=4) as accelerator:
        for given in (images, 255 - images):
            assert np.array_equal(accelerator.run(given), expected(given))


def log(accelerator: Accelerator) -> Any:
    return accelerator._pynq.memory.log


def test_the_next_batch_is_copied_while_one_runs(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = packages.Engine.run
    accelerator = Accelerator(package, batch_size=2)
    first, second = (inputs[0].device_address for inputs, _ in accelerator._sets)

    def until_the_next_is_there(self: Any, data: Any) -> Any:
        starts = [event.value for event in log(accelerator).events if event.what == "start"]
        ends = time.monotonic() + 5
        while len(starts) < 3 and time.monotonic() < ends:
            flushes = [event.value for event in log(accelerator).events if event.what == "flush"]
            if len(flushes) > len(starts):
                break
            time.sleep(0.001)
        return original(self, data)

    monkeypatch.setattr(packages.Engine, "run", until_the_next_is_there)
    with accelerator:
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))
        events = [(event.what, event.value) for event in log(accelerator).events if event.what in ("flush", "start")]
        seen = [event.what for event in log(accelerator).events if event.what not in ("asked", "seen")]
    moves = [("flush", first), ("start", first), ("flush", second), ("start", second), ("flush", first)]
    assert events == [*moves, ("start", first)]
    # two runs with the next batch's copy in each, and the last one; results are read while the next batch runs
    assert seen[:5] == ["flush", "start", "flush", "finish", "start"]
    assert sorted(seen[5:8]) == ["finish", "flush", "invalidate"]
    assert seen[8] == "start"
    assert sorted(seen[9:]) == ["finish", "invalidate", "invalidate"]


@pytest.mark.parametrize("platform", ["zynq-iodma", "alveo"])
def test_images_in_memory_of_the_device_are_not_copied(
    tmp_path: Path, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Accelerator(packages.write(tmp_path / "package", platform=platform), batch_size=4) as accelerator:
        images = accelerator.allocate_images(10)
        own = accelerator._pynq.allocate(shape=(10, 4, 4, 3), dtype=np.uint8)
        images[:] = np.random.default_rng(1).integers(0, 256, images.shape)
        own[:] = images.transpose(0, 2, 3, 1)
        wanted = expected(np.array(images))
        with monkeypatch.context() as patch:
            patch.setattr(np, "copyto", None)
            for given, base in ((images, accelerator._images[0]), (own.transpose(0, 3, 1, 2), own)):
                log(accelerator).events.clear()
                assert np.array_equal(accelerator.run(given), wanted)
                starts = [
                    event.value - base.device_address for event in log(accelerator).events if event.what == "start"
                ]
                assert starts == [0, 4 * 48, 8 * 48]
            accelerator.ibuf_packed_device[0][:] = own[:4, :, :, None]
            given = np.asarray(accelerator.ibuf_packed_device[0]).reshape(4, 4, 4, 3)
            assert np.array_equal(accelerator.execute(given), wanted[:4])
            with pytest.raises(TypeError, match="not callable"):
                accelerator.run(IMAGES)  # these are copied
        assert np.array_equal(accelerator.run(own.transpose(0, 3, 1, 2)[1:]), wanted[1:])  # begins between two beats
        for other in (own.copy(), own + np.uint8(0), own[::-1][::-1]):
            assert np.array_equal(accelerator.run(other.transpose(0, 3, 1, 2)), wanted)
        assert np.array_equal(accelerator.run(own[::-1].transpose(0, 3, 1, 2)), wanted[::-1])
        ranges = accelerator._pynq.memory
        anywhere = own.copy().reshape(-1)  # pynq gives a copy an address too, a wrong one
        assert all(module.dma.place(anywhere[start:]) is None for start in range(64))
    assert len(ranges) == 1  # the one that the driver did not allocate


def test_memory_for_images_that_there_cannot_be(tmp_path: Path) -> None:
    shapes = packages.shapes() | {"ishape_packed": [[1, 4, 4, 1, 4]]}
    with Accelerator(packages.write(tmp_path / "padded", io_shape_dict=shapes)) as accelerator:
        with pytest.raises(InputError, match="only images of 8-bit pixels"):
            accelerator.allocate_images(2)
        with pytest.raises(InputError, match="count must be a positive integer, not 0"):
            accelerator.allocate_images(0)
    with Accelerator(packages.write(tmp_path / "package")) as accelerator:
        pass
    with pytest.raises(DriverError, match="closed"):
        accelerator.allocate_images(2)


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_an_error_in_the_middle_leaves_the_device_usable(tmp_path: Path, bad: int) -> None:
    shapes = packages.shapes() | {"ishape_packed": [[1, 4, 4, 1, 4]]}
    images = IMAGES.astype(np.int32)
    images[bad] += 256
    with Accelerator(packages.write(tmp_path / "package", io_shape_dict=shapes), batch_size=1) as accelerator:
        with pytest.raises(InputError, match="are not all UINT8"):
            accelerator.run(images)
        kinds = [event.what for event in log(accelerator).events]
        assert kinds.count("start") == kinds.count("seen") == bad  # nothing is left running
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))


def test_an_error_while_results_are_read_leaves_the_device_usable(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, *arguments: Any) -> Any:
        raise MemoryError("results")

    with Accelerator(package, batch_size=1) as accelerator:
        with monkeypatch.context() as patch, pytest.raises(MemoryError, match="results"):
            patch.setattr(Accelerator, "_read", fail)
            accelerator.run(IMAGES)
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))


def test_pixels_go_to_the_device_without_an_array_in_between(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Accelerator(package, batch_size=5) as accelerator:

        def refuse(*arguments: Any, **options: Any) -> None:
            raise AssertionError("packed")

        monkeypatch.setattr(module, "pack", refuse)
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))


def test_wider_integers_and_beats_with_padding(tmp_path: Path) -> None:
    shapes = packages.shapes() | {"ishape_packed": [[1, 4, 4, 1, 4]]}
    with Accelerator(packages.write(tmp_path / "package", io_shape_dict=shapes), batch_size=2) as accelerator:
        assert np.array_equal(accelerator.run(IMAGES.astype(np.int32)), expected(IMAGES))
        with pytest.raises(InputError, match="values from 0 to 256 are not all UINT8"):
            accelerator.run(256 * (IMAGES.astype(np.int32) // IMAGES.max()))


def test_validate(package: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Accelerator(package, batch_size=2) as accelerator:
        assert accelerator.validate()
    assert capsys.readouterr().out == "EXACT: 5 images, 15 integers\n"
    monkeypatch.setenv("IR2NET_FAULT", "flipped_bit")
    with Accelerator(package, batch_size=2) as accelerator:
        assert not accelerator.validate()
    value = expected(IMAGES)[0, 0]
    first = f"DIFFERENT: image 0, output [0]: {value ^ 1} instead of {value}; 3 of 15 integers differ\n"
    assert capsys.readouterr().out == first


def test_golden_vectors_that_are_none(package: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((package / "golden.npz").read_bytes()[:100])
    with Accelerator(package) as accelerator:
        with pytest.raises(InputError, match=r"none\.npz: No such file"):
            accelerator.validate(tmp_path / "none.npz")
        for name in ("one.npy", "other.npz", "cut.npz"):
            with pytest.raises(InputError, match=f"{name} is no npz file with arrays called images and outputs"):
                accelerator.validate(tmp_path / name)
        np.savez(tmp_path / "short.npz", images=IMAGES, outputs=expected(IMAGES)[:, :2])
        with pytest.raises(InputError, match=r"expected are \(5, 2\), the accelerator gives \(5, 3\)"):
            accelerator.validate(tmp_path / "short.npz")


@pytest.mark.parametrize("scale", [SCALE, None])
def test_accuracy(tmp_path: Path, scale: float | None) -> None:
    labels = expected(IMAGES).argmax(axis=1) if scale else expected(IMAGES)[:, 0]
    labels[1] += 1
    file = tmp_path / "some.npz"
    np.savez(file, images=IMAGES, labels=labels.astype(np.uint16 if scale else np.int32))
    with Accelerator(packages.write(tmp_path / "package", scale=scale), batch_size=2) as accelerator:
        assert accelerator.accuracy(file) == (4, 5)
        for wrong in (labels[:4], labels[:, None]):
            np.savez(file, images=IMAGES, labels=wrong)
            with pytest.raises(InputError, match=r"some.npz has labels of shape .* for images of shape \(5, 3, 4, 4\)"):
                accelerator.accuracy(file)
        np.savez(file, images=IMAGES[:0], labels=labels[:0])
        with pytest.raises(InputError, match=r"some.npz has labels of shape \(0,\)"):
            accelerator.accuracy(file)
        np.savez(file, images=np.array([object()]), labels=labels)  # would take pickle
        with pytest.raises(InputError, match=r"some.npz is no npz file with arrays called images and labels"):
            accelerator.accuracy(file)


@pytest.mark.parametrize("platform", ["zynq-iodma", "alveo"])
def test_counts_of_numpy_are_counts(tmp_path: Path, platform: str) -> None:
    with Accelerator(packages.write(tmp_path / "package", platform=platform), np.int64(5)) as accelerator:
        accelerator.copy_input_data_to_device(accelerator.pack_input(accelerator.fold_input(NHWC)))
        accelerator.execute_on_buffers(batch_size=np.int64(2))  # type: ignore[arg-type]
        assert accelerator.obuf_packed_device[0].shape[0] == 5
        for size in (0, np.uint8(0), 2.0):
            with pytest.raises(InputError, match="batch_size must be a positive integer, not"):
                accelerator.execute_on_buffers(batch_size=size)  # type: ignore[arg-type]
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))  # it does not think that it is running


def test_execute_takes_arrays_and_says_so(package: Path) -> None:
    with Accelerator(package, batch_size=5) as accelerator:
        for given in (NHWC, [NHWC], (NHWC,)):
            assert np.array_equal(accelerator.execute(given), expected(IMAGES))
        for other in ("images", None, (NHWC.tolist(),)):
            with pytest.raises(InputError, match=r"input 0 must be a numpy array, not (str|NoneType|list)"):
                accelerator.execute(other)
        with pytest.raises(InputError, match="5 arrays for 1 inputs"):
            accelerator.execute(NHWC.tolist())
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))


def test_throughput(package: Path) -> None:
    with Accelerator(package, batch_size=4) as accelerator:
        accelerator._clocks().fclk0_mhz = 99.0  # what the divider makes of 100
        result = accelerator.throughput_test()
    assert result["fclk[mhz]"] == pytest.approx(198)
    assert result["batch_size"] == 4
    assert result["throughput_of_these_cycles[images/s]"] == pytest.approx(4 * 198e6 / 7)
    assert all(result[f"{name}[ms]"] > 0 for name in ("runtime", "pack_input", "unpack_output", "fold_input"))
    assert result["accelerator_per_batch[ms]"] == pytest.approx(7 / 198e3)
    assert result["host_per_batch[ms]"] > 0
    assert result["streamed[images/s]"] > 0


def test_throughput_where_the_host_is_slow(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Accelerator._fill

    def slow(self: Any, *arguments: Any) -> Any:
        time.sleep(0.005)
        return original(self, *arguments)

    monkeypatch.setattr(Accelerator, "_fill", slow)
    with Accelerator(package, batch_size=4) as accelerator:
        result = accelerator.throughput_test()
    assert result["host_per_batch[ms]"] > 5
    assert result["waited_for_host[cycles]"] >= 3 * (0.005 * 200e6 - 7)
    monkeypatch.setattr(packages.Engine, "cycles", 10**9)
    with Accelerator(package, batch_size=4) as accelerator:
        result = accelerator.throughput_test()
    assert result["accelerator_per_batch[ms]"] == pytest.approx(5000)
    assert result["waited_for_host[cycles]"] < 10**9  # between two runs only


@pytest.mark.parametrize("platform", ["zynq-iodma", "alveo"])
@pytest.mark.parametrize(("fault", "stuck"), [("odma0", ("odma0",)), ("idma0", ("idma0", "odma0"))])
def test_a_time_out_names_the_dma(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, fault: str, stuck: tuple[str, ...]
) -> None:
    monkeypatch.setenv("IR2NET_FAULT", f"stuck={fault}")
    package = packages.write(tmp_path / "package", platform=platform)
    with Accelerator(package, timeout_s=0.02) as accelerator:
        ranges = accelerator._pynq.memory
        with pytest.raises(DmaTimeoutError, match=rf"^{' and '.join(stuck)} not finished after 0.02 s") as error:
            accelerator.classify(IMAGES)
        assert error.value.stuck == stuck
        with pytest.raises(DeviceError, match="stuck since: "):
            accelerator.classify(IMAGES)
        assert len(ranges) == 4
    assert len(ranges) == 0


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("wrong_build_id", PackageError, "the stand-in's design is of build 0000000000000000, settings.json of build"),
        ("short_buffer", DeviceError, r"idma0's buffer is uint8 \(1, 4, 4, 1, 3\), not uint8 \(2, 4, 4, 1, 3\)"),
        ("wrong_dtype", DeviceError, "idma0's buffer is uint16"),
        ("flying_pigs", DeviceError, "'flying_pigs' is no fault; there are stuck=DMA, wrong_build_id"),
    ],
)
def test_faults_that_show_when_it_is_opened(
    package: Path, monkeypatch: pytest.MonkeyPatch, fault: str, error: type[DriverError], message: str
) -> None:
    monkeypatch.setenv("IR2NET_FAULT", fault)
    with pytest.raises(error, match=message):
        Accelerator(package, batch_size=2)


def test_a_simulation_that_fails_says_why(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, data: Any) -> Any:
        raise RuntimeError("no transfer for 100000 cycles")

    monkeypatch.setattr(packages.Engine, "run", fail)
    with (
        Accelerator(package) as accelerator,
        pytest.raises(DeviceError, match="the simulated accelerator failed: no transfer for 100000 cycles"),
    ):
        accelerator.classify(IMAGES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (NHWC, r"images must be \(n, 3, 4, 4\), not \(5, 4, 4, 3\): the channels come first, use images.transpose"),
        (IMAGES[:, :, :3], r"must be \(n, 3, 4, 4\), not \(5, 3, 3, 4\)"),
        (IMAGES / 255, r"integers \(UINT8\), not float64: do not normalise"),
        (IMAGES.tolist(), "numpy array, not list"),
    ],
)
def test_images_that_do_not_fit(package: Path, images: Any, message: str) -> None:
    with Accelerator(package) as accelerator, pytest.raises(InputError, match=message):
        accelerator.classify(images)


def test_batches_that_do_not_fit(package: Path) -> None:
    with Accelerator(package, batch_size=2) as accelerator:
        with pytest.raises(InputError, match="a run of 3 images does not fit buffers for 2: set batch_size first"):
            accelerator.execute_on_buffers(batch_size=3)
        with pytest.raises(InputError, match=r"input 0 must be \(2, 4, 4, 3\), not \(5, 4, 4, 3\)"):
            accelerator.execute(NHWC)
        for size in (0, -1, 2.5, "two"):
            with pytest.raises(InputError, match=f"positive integer, not {size!r}"):
                accelerator.batch_size = size  # type: ignore[assignment]
        with pytest.raises(InputError, match="2 arrays for 1 inputs"):
            accelerator.execute([NHWC, NHWC])
        with pytest.raises(BusyError, match="nothing is running"):
            accelerator.wait_until_finished()


def test_a_second_thread_is_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, go_on = threading.Event(), threading.Event()
    original = packages.Engine.run

    def slow(self: Any, data: Any) -> Any:
        running.set()
        go_on.wait(10)
        return original(self, data)

    monkeypatch.setattr(packages.Engine, "run", slow)
    with Accelerator(package, batch_size=5) as accelerator:
        found: list[Any] = []
        other = threading.Thread(target=lambda: found.append(accelerator.run(IMAGES)))
        other.start()
        running.wait(10)
        with pytest.raises(BusyError, match="another thread uses this accelerator"):
            accelerator.classify(IMAGES)
        go_on.set()
        other.join()
        assert np.array_equal(found[0], expected(IMAGES))


def test_buffers_are_freed(package: Path) -> None:
    accelerator = Accelerator(package, batch_size=2)
    ranges = accelerator._pynq.memory
    accelerator.batch_size = 3
    assert len(ranges) == 4
    with pytest.raises(ZeroDivisionError), accelerator:
        1 / 0  # noqa: B018
    assert len(ranges) == 0
    accelerator.close()
    with pytest.raises(DriverError, match="closed"):
        accelerator.classify(IMAGES)


def test_nothing_is_left_of_a_driver_that_does_not_open(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memories = []
    original = memory.Memory.__init__

    def note(self: Any) -> None:
        original(self)
        memories.append(self)

    monkeypatch.setattr(memory.Memory, "__init__", note)
    monkeypatch.setattr(Accelerator, "oshape_packed", lambda self, ind=0: (10**15,))
    with pytest.raises(
        DeviceError, match=r"no memory for odma0's buffer of 1000000000000000 bytes .* smaller batch_size"
    ):
        Accelerator(package)
    assert [len(found) for found in memories] == [0]


def test_a_batch_size_that_is_too_large_can_be_taken_back(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Accelerator(package) as accelerator:
        with monkeypatch.context() as patch, pytest.raises(DeviceError, match="use a smaller batch_size"):
            patch.setattr(Accelerator, "oshape_packed", lambda self, ind=0: (10**15,))
            accelerator.batch_size = 1000
        assert len(accelerator._pynq.memory) == 0
        with pytest.raises(DeviceError, match="there are no buffers: set a smaller batch_size"):
            accelerator.classify(IMAGES)
        accelerator.batch_size = 2
        assert np.array_equal(accelerator.run(IMAGES), expected(IMAGES))


def test_a_stuck_dma_is_stopped_before_its_buffers_are_freed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR2NET_FAULT", "stuck=odma0")
    accelerator = Accelerator(package, timeout_s=0.02)
    loaded: list[int] = []
    monkeypatch.setattr(accelerator.overlay, "download", lambda: loaded.append(len(accelerator._pynq.memory)))
    with pytest.raises(DmaTimeoutError), accelerator:
        accelerator.classify(IMAGES)
    assert loaded == [4]


def test_no_pynq_here(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IR2NET_DEVICE")
    with pytest.raises(DeviceError, match=r"pynq is not installed .* IR2NET_DEVICE=cppsim"):
        Accelerator(package)
    with pytest.raises(DeviceError, match="IR2NET_DEVICE=gpu is no device: use board, rtlsim, cppsim"):
        Accelerator(package, device="gpu")


def test_a_bitfile_without_the_dmas(tmp_path: Path) -> None:
    shapes = packages.shapes() | {"input_dma_name": ["idma0"], "output_dma_name": ["odma0"]}
    package = packages.write(tmp_path / "package", io_shape_dict=shapes)
    accelerator = Accelerator(package)
    with pytest.raises(DeviceError, match="the bitfile has no odma7"):
        accelerator._ip("odma7")
    accelerator.close()
