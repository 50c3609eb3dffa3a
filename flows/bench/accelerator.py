# SPDX-License-Identifier: Apache-2.0
"""The bench of cppsim: images a second and memory, beside PyTorch and onnxruntime on the same machine in one run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.bench.results import Figure
from flows.pipeline import Skipped

IMAGES = 4000
"""For cppsim; the others get fewer, since they are slower."""
FEWER = 500
THREADS = 2
# In a process of its own: the memory is that of the accelerator and numpy alone. getrusage would count what the parent
# held when it started this process.
SCRIPT = """
import json, pathlib, re, sys, time
import numpy as np
from hw.cppsim import Accelerator
accelerator = Accelerator.load(sys.argv[1], pathlib.Path(sys.argv[2]))
images = np.load(sys.argv[3])
accelerator.predict(images[:64], threads=int(sys.argv[4]))
began = time.perf_counter()
accelerator.predict(images, threads=int(sys.argv[4]))
seconds = time.perf_counter() - began
memory = int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
print(json.dumps({"rate": len(images) / seconds, "memory": memory / 1024}))
"""


def accelerator(network: str, folder: Path) -> dict[str, Figure]:
    """Compile the network's graph, and run the same random images through it, PyTorch and onnxruntime."""
    from hw.cppsim import Accelerator

    program, images = folder / "cppsim", np.random.default_rng(0).integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8)
    _generate(network, program, folder, images[:1])
    began = time.perf_counter()
    Accelerator.load(program, folder / "cache")
    compiled = time.perf_counter() - began
    np.save(folder / "images.npy", images)
    command = [sys.executable, "-c", SCRIPT, program, folder / "cache", folder / "images.npy", str(THREADS)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"the accelerator does not run: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout)
    torch, onnx = _torch(network, images[:FEWER]), _onnxruntime(network, folder, images[:FEWER])
    return {
        "threads": THREADS,
        "compile_seconds": round(compiled, 1),
        "images_per_second": round(found["rate"]),
        "peak_memory_mb": round(found["memory"]),
        "torch_images_per_second": round(torch),
        "ratio_to_torch": round(found["rate"] / torch, 1),
        "onnxruntime_images_per_second": None if onnx is None else round(onnx),
        "ratio_to_onnxruntime": None if onnx is None else round(found["rate"] / onnx, 1),
    }


def _generate(network: str, program: Path, folder: Path, images: NDArray[np.uint8]) -> None:
    from qonnx.core.modelwrapper import ModelWrapper

    from hw import finn_env
    from hw.cppsim.program import generate_program
    from hw.transforms.convert import convert
    from hw.transforms.streamline import streamline
    from model.checkpoint import load_checkpoint, shipped_checkpoint
    from model.export import export

    finn_env.setup(folder / "finn")
    exported = export(load_checkpoint(shipped_checkpoint(network))[0], folder / "export", images)
    _, partition = convert(streamline(ModelWrapper(str(exported.model))))
    generate_program(partition).write(program)


def _torch(network: str, images: NDArray[np.uint8]) -> float:
    """Images a second of the network as `model.evaluate` runs it."""
    import torch

    from model.checkpoint import load_checkpoint, shipped_checkpoint
    from model.training.evaluation import BATCH

    torch.set_num_threads(THREADS)
    model = load_checkpoint(shipped_checkpoint(network))[0].eval()
    batches = [torch.from_numpy(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]

    def run() -> None:
        with torch.no_grad():
            for batch in batches:
                model(batch).argmax(1)

    return len(images) / _seconds(run)


def _onnxruntime(network: str, folder: Path, images: NDArray[np.uint8]) -> float | None:
    """Images a second of the paper's precision in float, one by one as it is exported; None without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return None
    import torch

    from model.export import export
    from model.networks import create_network

    exported = export(create_network(network, precision="paper", seed=0).eval(), folder / "float", images[:1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session: Any = onnxruntime.InferenceSession(str(exported.model), options, providers=["CPUExecutionProvider"])
    values = create_network(network, precision="paper", seed=0).values(torch.from_numpy(images)).numpy()
    name = session.get_inputs()[0].name

    def run() -> None:
        for image in values:
            session.run(None, {name: image[None]})

    return len(images) / _seconds(run)


def _seconds(run: Callable[[], None]) -> float:
    """Of the second run; the first warms up."""
    run()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
