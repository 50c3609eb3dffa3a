# SPDX-License-Identifier: Apache-2.0
"""pip's settings as uv's, and the check of the tools before the set-up."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from flows.uv import variables

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def test_the_mirror_of_pip_is_uvs() -> None:
    listing = """\
:env:.index-url='https://mirror.example/simple'
global.index-url='https://other.example/simple'
global.extra-index-url='\\nfile:///a\\nfile:///b'
global.find-links='/wheels /more'
install.trusted-host='mirror.example'
global.timeout='9'
freeze.index-url='no'
"""
    assert variables(listing) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "file:///a file:///b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "mirror.example",
    }


def test_uv_is_given_them_and_keeps_its_own(tmp_path: Path) -> None:
    """In an environment whose uv prints what it sees."""
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "uv").write_text('#!/bin/sh\necho "$1 $UV_DEFAULT_INDEX $UV_FIND_LINKS"\n')
    (tmp_path / "uv").chmod(0o755)
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text("print(\":env:.index-url='a'\\nglobal.find-links='/b'\")\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "UV_FIND_LINKS": "/own"}
    command = [tmp_path / "python", ROOT / "flows" / "uv.py", "pip"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "pip a /own\n"


def test_a_package_comes_from_the_mirror_that_pip_is_told_of(tmp_path: Path) -> None:
    """With the uv that `make` installs, from an index on this machine that pip.conf names."""
    if not UV.exists():
        pytest.skip("uv, which `make` installs, reads the index")
    wheel = tmp_path / "index" / "simple" / "mirrored" / "mirrored-1-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mirrored.py", "")
        archive.writestr("mirrored-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: mirrored\nVersion: 1\n")
        archive.writestr("mirrored-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("mirrored-1.dist-info/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = http://127.0.0.1:{server.server_port}/simple\n")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
        environment |= {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "UV_CACHE_DIR": str(tmp_path / "cache")}
        command = [sys.executable, ROOT / "flows" / "uv.py", "pip", "install", "--quiet", "--target", tmp_path / "to"]
        subprocess.run([*command, "mirrored"], env=environment, check=True)
        server.shutdown()
    assert (tmp_path / "to" / "mirrored.py").is_file()


def test_another_python_is_refused_at_once(tmp_path: Path) -> None:
    other = tmp_path / "python3.12"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    check = ["sh", str(ROOT / "flows" / "check_tools.sh")]
    done = subprocess.run([*check, str(other)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not Python 3.11" in done.stderr
    done = subprocess.run([*check, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
