# SPDX-License-Identifier: Apache-2.0
"""One Verilog top of all nodes, with FIFOs as deep as the simulation of the whole design asks for."""

import json
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.errors import ToolError
from flows.pipeline import Context, Step


def run(context: Context) -> dict[str, Any]:
    """Size the FIFOs and stitch; the result is the design that is simulated, synthesised and packaged."""
    from hw import finn_env
    from hw.rtlsim.fifo import FifoError, fifo_bits, size_fifos

    build_dir = context.folder / "finn"
    finn_env.setup(build_dir)
    context.status("FIFO depths from simulation")
    model = ModelWrapper(str(context.path("specialise", "model.onnx")))
    try:
        sized = size_fifos(model, context.board.part, context.clock_ns, build_dir)
    except FifoError as error:
        raise ToolError(str(error), context.log) from error
    sized.save(str(context.folder / "model.onnx"))
    report = json.loads((build_dir / "fifos.json").read_text())
    return {"fifo_bits": fifo_bits(sized), "fifos": report}


STEP = Step("stitch", run, needs=("specialise",), compiles=lambda config: True)
