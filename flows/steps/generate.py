# SPDX-License-Identifier: Apache-2.0
"""Write the SystemVerilog of every node."""

from typing import Any

from qonnx.core.modelwrapper import ModelWrapper

from flows.pipeline import Context, Step


def run(context: Context) -> dict[str, Any]:
    """Generate HDL below this step's folder."""
    from hw import finn_env
    from hw.ops import generate
    from hw.rtlsim.fifo import insert_width_converters

    build_dir = context.folder / "finn"
    finn_env.setup(build_dir)
    model = ModelWrapper(str(context.path("specialise", "model.onnx")))
    model = generate(
        insert_width_converters(model, context.board.part), context.board.part, context.clock_ns, build_dir
    )
    model.save(str(context.folder / "model.onnx"))
    return {"nodes": len(model.graph.node)}


STEP = Step("generate", run, needs=("specialise",))
