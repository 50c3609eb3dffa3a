# SPDX-License-Identifier: Apache-2.0
"""A compiled network as a library and as an executable: exact, in batches, and clear about bad input."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from hw.cppsim import Accelerator
from hw.cppsim.compile import EXECUTABLE, compile_program
from hw.cppsim.errors import CppsimError, ImageError
from hw.cppsim.program import generate_program
from hw.transforms.verify import execute, tensors
from tests.hw.cppsim.graphs import classifier, images

ROOT = Path(__file__).parents[3]
COUNT = 12


@pytest.fixture(scope="module")
def expected(network: ModelWrapper) -> np.ndarray:
    """The integers of FINN's Python execution for the first COUNT images, (COUNT, 5)."""
    return execute(network, images(COUNT)).reshape(COUNT, -1)


@pytest.fixture(scope="module")
def executable(program: Path, cache: Path) -> Path:
    return compile_program(program, EXECUTABLE, cache)


def run(executable: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([executable, *words], capture_output=True, text=True, check=False)


def test_integers_logits_and_classes_equal_python(accelerator: Accelerator, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(accelerator.run(images(COUNT)).reshape(COUNT, -1), expected)
    np.testing.assert_array_equal(accelerator.logits(images(COUNT)).reshape(COUNT, -1), expected * np.float32(0.5))
    np.testing.assert_array_equal(accelerator.predict(images(COUNT)), expected.argmax(axis=1))
    assert len(np.unique(expected, axis=0)) > 1


def test_every_tensor_equals_python(accelerator: Accelerator, network: ModelWrapper) -> None:
    for image in images(3, seed=4):
        found, reference = accelerator.tensors(image), tensors(network, image)
        assert set(found) == {"0.in", *(f"{index}.out" for index in range(10))}
        for name, values in found.items():
            np.testing.assert_array_equal(values, reference[name], err_msg=name)


def test_a_label_on_the_device_is_the_class(expected: np.ndarray, tmp_path: Path, cache: Path) -> None:
    generate_program(classifier(label=True)).write(tmp_path)
    labels = Accelerator.load(tmp_path, cache)
    np.testing.assert_array_equal(labels.predict(images(COUNT)), expected.argmax(axis=1))
    with pytest.raises(CppsimError, match="its output is a label"):
        labels.logits(images(1))


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_batches_and_threads_do_not_matter(accelerator: Accelerator, threads: int) -> None:
    many = images(500, seed=2)
    singly = np.concatenate([accelerator.run(image[None], threads=1) for image in many[:50]])
    together = accelerator.run(many, threads=threads)
    np.testing.assert_array_equal(together[:50], singly)
    np.testing.assert_array_equal(together, accelerator.run(many, threads=1))
    assert len(accelerator.run(many[:0])) == 0


def test_progress_is_told_and_can_stop_the_run(accelerator: Accelerator) -> None:
    told: list[tuple[int, int]] = []
    accelerator.predict(images(30), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (30, 30)
    assert told == sorted(told)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        accelerator.predict(images(30), progress=interrupt)


class _Mallinfo(ctypes.Structure):
    _names_ = (
        "arena",
        "ordblks",
        "smblks",
        "hblks",
        "hblkhd",
        "usmblks",
        "fsmblks",
        "uordblks",
        "fordblks",
        "keepcost",
    )
    _fields_ = [(name, ctypes.c_size_t) for name in _names_]


def test_buffers_are_allocated_once(accelerator: Accelerator) -> None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("this C library does not count what is allocated")
    libc.mallinfo2.restype = _Mallinfo

    def allocated() -> int:
        info = libc.mallinfo2()
        return int(info.uordblks + info.hblkhd)

    many = images(100)
    accelerator.run(many, threads=3)
    before = allocated()
    for _ in range(20):
        accelerator.run(many, threads=3)
    assert allocated() - before < accelerator.workspace_bytes // 2


def _with_extremes(lowest: int, highest: int) -> np.ndarray:
    values = images(2).astype(int).clip(lowest, highest)
    values.flat[:2] = lowest, highest
    return values


BAD = {
    "channels last": (lambda: images(2).transpose(0, 2, 3, 1), r"shape \(n, 3, 5, 4\), not \(2, 5, 4, 3\)"),
    "one image": (lambda: images(1)[0], r"shape \(n, 3, 5, 4\), not \(3, 5, 4\)"),
    "other size": (lambda: np.zeros((2, 3, 32, 32), np.uint8), r"not \(2, 3, 32, 32\)"),
    "normalised": (lambda: images(2) / 255, "must be integers .UINT8., not float64; do not normalise"),
    "truth values": (lambda: images(2) > 3, "must be integers .UINT8., not bool"),
    "negative": (lambda: _with_extremes(-1, 254), r"values -1 \.\. 254 outside 0 \.\. 255; the input is UINT8"),
    "too large": (lambda: _with_extremes(1, 256), r"values 1 \.\. 256 outside"),
    "a list": (lambda: images(2).tolist(), "must be a numpy array, not list"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_images_are_refused(accelerator: Accelerator, case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(ImageError, match=message):
        accelerator.predict(make())


def test_integers_of_other_widths_are_taken(accelerator: Accelerator) -> None:
    np.testing.assert_array_equal(accelerator.run(images(3).astype(np.int64)), accelerator.run(images(3)))
    reversed_view = images(6)[::-2]
    np.testing.assert_array_equal(accelerator.run(reversed_view), accelerator.run(reversed_view.copy()))


def test_a_folder_without_an_accelerator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CppsimError, match=r"holds no compiled accelerator .* build with --verify cppsim"):
        Accelerator.load(tmp_path)


def test_neither_finn_nor_torch_nor_onnx_is_needed(program: Path, cache: Path, expected: np.ndarray) -> None:
    script = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"finn", "torch", "qonnx", "onnx", "brevitas", "flows", "model"}}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from hw.cppsim import Accelerator
rng = np.random.default_rng(0)
images = rng.integers(0, 256, ({COUNT}, 3, 5, 4), dtype=np.uint8)
print(Accelerator.load({str(program)!r}).predict(images).tolist())
"""
    environment = {**os.environ, "IR2NET_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(expected.argmax(axis=1).tolist())


def test_the_executable_reads_and_writes_npy(
    executable: Path, program: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", images(COUNT))
    done = run(
        executable, tmp_path / "images.npy", tmp_path / "out.npy", "--constants", program / "constants.bin",
        "--threads", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{COUNT} images in ")
    found = np.load(tmp_path / "out.npy")
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found.reshape(COUNT, -1), expected)


FILES = {
    "no file": (None, "cannot be opened"),
    "no npy": (b"0123456789abcdef", "is no .npy file"),
    "floats": (images(2) / 255, "holds '<f8' instead of '|u1'"),
    "shape": (np.zeros((2, 3, 5, 5), np.uint8), "has shape (2, 3, 5, 5, ); each image must be (3, 5, 4, )"),
    "order": (np.asfortranarray(images(2)), "is in Fortran order"),
}


@pytest.mark.parametrize("case", FILES)
def test_the_executable_refuses_bad_files(case: str, executable: Path, program: Path, tmp_path: Path) -> None:
    content, message = FILES[case]
    if isinstance(content, bytes):
        (tmp_path / "images.npy").write_bytes(content)
    elif content is not None:
        np.save(tmp_path / "images.npy", content)
    done = run(
        executable, tmp_path / "images.npy", tmp_path / "out.npy", "--constants", program / "constants.bin"
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "out.npy").exists()


def test_the_executable_refuses_a_file_that_ends_early(executable: Path, program: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images(4))
    whole = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(whole[:-7])
    done = run(executable, tmp_path / "images.npy", tmp_path / "o.npy", "--constants", program / "constants.bin")
    assert (done.returncode, "does not hold as much" in done.stderr) == (1, True)


def test_the_program_compiles_by_the_line_of_its_readme(program: Path, tmp_path: Path) -> None:
    line = next(line for line in (program / "README").read_text().splitlines() if "g++ -" in line).strip()
    subprocess.run([*line.split()[:-1], str(tmp_path / "accelerate")], cwd=program, check=True)
    assert run(tmp_path / "accelerate").stderr.startswith("error: usage: ")
