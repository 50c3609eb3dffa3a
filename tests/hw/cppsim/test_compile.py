# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled programs: found again, never trusted, shared by processes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from hw.cache import RECORD
from hw.cppsim import Accelerator
from hw.cppsim.compile import LIBRARY, compile_program
from hw.cppsim.errors import CppsimError
from hw.cppsim.interface import FILE
from hw.cppsim.program import generate_program
from hw.errors import ToolFailure
from hw.transforms.verify import execute
from tests.hw.cppsim.graphs import FINN_CASES, images

ROOT = Path(__file__).parents[3]
KERNELS = sorted((ROOT / "hw" / "cppsim").glob("*.h"))
SMALL = """#include "api.h"
std::size_t cppsim_tensors() { return 0; }
"""


@pytest.fixture
def small(program: Path, tmp_path: Path) -> Path:
    """A folder whose program compiles in no time."""
    folder = tmp_path / "small"
    folder.mkdir()
    shutil.copy(program / "api.h", folder)
    (folder / "program.cpp").write_text(SMALL)
    return folder


@pytest.fixture
def own(program: Path, tmp_path: Path) -> Path:
    """A copy of the classifier's program that may be changed."""
    return Path(shutil.copytree(program, tmp_path / "program"))


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_any_machine_can_compile_it(path: Path) -> None:
    """Boards are ARM: standard headers and own ones, no intrinsics or other names of an instruction set."""
    text = path.read_text()
    included = re.findall(r"#include [<\"]([^>\"]+)", text)
    assert {name for name in included if name.endswith(".h")} <= {other.name for other in KERNELS}
    assert not re.search(r"_mm\d*_|__m\d+|__builtin_(ia32|arm|neon)|__int128|\basm\b", text)


def test_the_same_program_is_compiled_once(small: Path, tmp_path: Path) -> None:
    first = compile_program(small, cache_dir=tmp_path / "cache")
    stamp = first.stat().st_mtime_ns
    assert compile_program(small, cache_dir=tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("file", ["program.cpp", "api.h"])
def test_a_change_of_code_or_kernels_is_compiled(file: str, small: Path, tmp_path: Path) -> None:
    first = compile_program(small, cache_dir=tmp_path / "cache")
    (small / file).write_text((small / file).read_text() + "// changed\n")
    assert compile_program(small, cache_dir=tmp_path / "cache") != first


def test_other_options_of_the_compiler_are_another_program(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compile_program(small, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("hw.cppsim.compile.identity", lambda *flags: "another compiler or processor")
    assert compile_program(small, cache_dir=tmp_path / "cache") != first


def _truncate(home: Path) -> None:
    library = home / LIBRARY
    library.write_bytes(library.read_bytes()[:1000])


def _replace(home: Path) -> None:
    (home / LIBRARY).write_bytes(b"something else")


def _replace_by_file(home: Path) -> None:
    shutil.rmtree(home)
    home.write_text("not a folder")


DAMAGE = {
    "truncated": _truncate,
    "foreign": _replace,
    "no library": lambda home: (home / LIBRARY).unlink(),
    "no record": lambda home: (home / RECORD).unlink(),
    "record of another key": lambda home: (home / RECORD).write_text(json.dumps({"key": "x", "sha256": "y"})),
    "no folder": _replace_by_file,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_foreign_result_is_compiled_again(damage: str, small: Path, tmp_path: Path) -> None:
    first = compile_program(small, cache_dir=tmp_path / "cache")
    good = first.read_bytes()
    DAMAGE[damage](first.parent)
    again = compile_program(small, cache_dir=tmp_path / "cache")
    assert again == first
    assert again.read_bytes() == good


def test_two_builds_at_once_do_not_disturb_each_other(small: Path, tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from hw.cppsim.compile import compile_program
result = compile_program(Path({str(small)!r}), cache_dir=Path({str(tmp_path / "cache")!r}))
print(result, result.stat().st_mtime_ns)
"""
    command = [sys.executable, "-c", script]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    words = [process.communicate()[0].split() for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len({tuple(row) for row in words}) == 1, "one made it, the others found it"


def test_code_that_does_not_compile_names_its_log(small: Path, tmp_path: Path) -> None:
    (small / "program.cpp").write_text("int main() { return x; }\n")
    with pytest.raises(CppsimError, match=r"g\+\+ refuses the program: .*error") as failure:
        compile_program(small, cache_dir=tmp_path / "cache")
    assert isinstance(failure.value, ToolFailure)
    assert failure.value.log is not None
    assert "was not declared" in failure.value.log.read_text()


def test_a_missing_compiler_is_named(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CppsimError, match="no-such-compiler is not installed; install g"):
        compile_program(small, cache_dir=tmp_path / "cache")


CONSTANTS = {
    "missing": (lambda path: path.unlink(), "cannot be opened"),
    "no constants": (lambda path: path.write_bytes(b"x" * 200), "this is no file of constants"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-64]), "is damaged"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "is damaged"),
    "one bit": (lambda path: path.write_bytes(_flipped(path.read_bytes())), "is damaged"),
}


def _flipped(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 4]) + content[101:]


@pytest.mark.parametrize("case", CONSTANTS)
def test_damaged_constants_are_refused(case: str, own: Path, cache: Path) -> None:
    damage, message = CONSTANTS[case]
    damage(own / "constants.bin")
    with pytest.raises(CppsimError, match=rf"constants.bin: .*{message}; build again"):
        Accelerator.load(own, cache)


def test_constants_of_another_network_are_refused(own: Path, cache: Path, tmp_path: Path) -> None:
    generate_program(FINN_CASES["product_odd"]()).write(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "constants.bin", own)
    with pytest.raises(CppsimError, match="the constants are another program's"):
        Accelerator.load(own, cache)


@pytest.mark.parametrize("content", ["", "{}", '{"inputs": 3}', "null"])
def test_a_damaged_interface_is_refused(content: str, own: Path, cache: Path) -> None:
    (own / FILE).write_text(content)
    with pytest.raises(CppsimError, match="is damaged; build again"):
        Accelerator.load(own, cache)


def test_other_weights_need_no_compiler(network: ModelWrapper, own: Path, cache: Path) -> None:
    compiled = compile_program(own, cache_dir=cache).stat().st_mtime_ns
    trained = ModelWrapper(network.model, make_deepcopy=True)
    name = trained.graph.node[2].input[1]
    trained.set_initializer(name, np.flip(trained.get_initializer(name)).copy())
    generate_program(trained).write(own)
    accelerator = Accelerator.load(own, cache)
    assert compile_program(own, cache_dir=cache).stat().st_mtime_ns == compiled
    np.testing.assert_array_equal(accelerator.run(images(2)).reshape(2, -1), execute(trained, images(2)).reshape(2, -1))
    assert not np.array_equal(execute(trained, images(2)), execute(network, images(2)))
