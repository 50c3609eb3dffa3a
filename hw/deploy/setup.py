# SPDX-License-Identifier: Apache-2.0
"""`pip install FOLDER` takes the package in as a module; `pynq get-notebooks` then finds its notebooks.

A setup.py, not a pyproject.toml: pip on a board then needs nothing from the network.
"""

import json
from pathlib import Path

from setuptools import setup

settings = json.loads((Path(__file__).resolve().parent / "settings.json").read_text())
module = settings["module"]
# besides the files that came with the package: bitfiles that were added, libraries that were made here
added = ["settings.json", "bitfile.json", "accelerator.*", "standin/*.so"]

setup(
    name=module.replace("_", "-"),
    version="0+" + settings["build_id"],
    description="{network} on {board}: the accelerator and its driver".format(**settings),
    license="Apache-2.0",
    packages=[module],
    package_dir={module: "."},
    package_data={module: [*settings["files"], *added]},
    zip_safe=False,
    python_requires=">=3.8",
    install_requires=["numpy>=1.17"],
    entry_points={"pynq.notebooks": [f"{module} = {module}.notebooks"]},
)
